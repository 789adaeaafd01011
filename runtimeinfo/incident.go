// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import "time"

// Incident describes the incident that an [Event] belongs to, for consumers that alert: a leak, stuck
// requests, or an anomaly. An incident begins with an event of phase [IncidentOpened] and ends with one
// of phase [IncidentClosed], which the agent adds at its end if nothing else has. Its events between
// these, if any, have the phase [IncidentWorsened]. The severity of these events is the severity of the
// incident. The severity of the last event is info.
type Incident struct {
	// ID identifies the incident among all incidents of the process.
	ID    string
	Phase IncidentPhase
	// Since is when the incident was opened.
	Since time.Time
	// Kind is "leak" or "stuck" for goroutines, "anomaly" or "ceiling" for a signal, "unclosed" for
	// response bodies of HTTP clients that nothing can close.
	Kind string
	// Site is the line of the application to look at, and Root the local root span that created the
	// most goroutines or whose signal it is. Signal is the signal of an anomaly. A value that is
	// unknown or does not apply is "". They are the same in all events of an incident.
	Site, Root, Signal string
	// Size is the number of goroutines or response bodies, or the value of the signal in Unit.
	Size float64
	Unit string
	// Evidence describes the observations behind the incident, or why it was closed. Hint is the most
	// likely mistake in the code, or "".
	Evidence, Hint string
}

// IncidentPhase is the state of an [Incident] after an event.
type IncidentPhase string

// The phases of an incident.
const (
	IncidentOpened   IncidentPhase = "opened"
	IncidentWorsened IncidentPhase = "worsened" // it has grown, or its kind or extent is worse
	IncidentClosed   IncidentPhase = "closed"
)
