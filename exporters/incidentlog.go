// SPDX-License-Identifier: Apache-2.0

package exporters

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/internal/incidenttext"
	"github.com/gmpulse/gmpulse/internal/units"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const (
	// maxIncidentLines is how many lines about incidents are logged in incidentLinesPer.
	maxIncidentLines = 10
	incidentLinesPer = time.Minute
)

// LogIncidents returns an Exporter that writes one line for each incident that is opened, worsened or
// closed: what and how much, where, under which root span, the evidence and the address of the page. It
// ignores everything else in a snapshot. Agents have one by default.
//
// An opening or worsening has the severity of the incident, [slog.LevelWarn] or [slog.LevelError]. A
// closing has [slog.LevelWarn], so that a log without lower levels has the end of each incident that it
// has the beginning of.
//
// At most ten lines are logged in a minute. A line after that minute has the number of the others.
//
// A nil logger means [slog.Default], evaluated at each Export. page returns the address of the live page;
// it may be nil, and return "". Errors of the logger's handler are ignored. The Exporter is safe for
// concurrent use if the handler is.
func LogIncidents(logger *slog.Logger, page func() string) Exporter {
	return &incidentLog{logger: logger, page: page, more: map[runtimeinfo.IncidentPhase]int{}}
}

// LogsIncidents reports whether e is an Exporter of [Log] or [LogIncidents], so that another one would
// log every incident twice.
func LogsIncidents(e Exporter) bool {
	switch e.(type) {
	case *logExporter, *incidentLog:
		return true
	default:
		return false
	}
}

type incidentLog struct {
	logger *slog.Logger  // nil: slog.Default()
	page   func() string // may be nil

	mu    sync.Mutex
	shut  bool
	since time.Time                         // begin of the current minute
	lines int                               // logged in it
	more  map[runtimeinfo.IncidentPhase]int // not logged in it
}

var _ Exporter = (*incidentLog)(nil)

func (l *incidentLog) Export(ctx context.Context, s *runtimeinfo.Snapshot) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut {
		return ErrShutdown
	}
	if passed := s.Time.Sub(l.since); passed >= incidentLinesPer || passed < 0 {
		l.since, l.lines = s.Time, 0
		l.sumUp(ctx)
	}
	for i := range s.Events {
		e := &s.Events[i]
		if e.Incident == nil {
			continue
		}
		if l.lines >= maxIncidentLines {
			l.more[e.Incident.Phase]++
			continue
		}
		l.lines++
		l.log(ctx, e)
	}
	return nil
}

func (l *incidentLog) Shutdown(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.shut {
		l.sumUp(ctx)
	}
	l.shut = true
	return nil
}

// sumUp logs how many lines were not logged, if any.
func (l *incidentLog) sumUp(ctx context.Context) {
	if len(l.more) == 0 {
		return
	}
	var attrs []slog.Attr
	for _, p := range []runtimeinfo.IncidentPhase{runtimeinfo.IncidentOpened, runtimeinfo.IncidentWorsened, runtimeinfo.IncidentClosed} {
		attrs = append(attrs, slog.Int(string(p), l.more[p]))
	}
	l.to().LogAttrs(ctx, slog.LevelWarn, "gmpulse: more incidents than are logged in a minute", l.withPage(attrs)...)
	clear(l.more)
	l.lines++
}

func (l *incidentLog) log(ctx context.Context, e *runtimeinfo.Event) {
	i := e.Incident
	level := max(e.Severity, slog.LevelWarn)
	l.to().LogAttrs(ctx, level, "gmpulse: "+incidenttext.Kind(i.Kind)+" "+string(i.Phase), l.withPage(incidentAttrs(e))...) //nolint:sloglint // the texts are constants of analyzers
}

func (l *incidentLog) to() *slog.Logger { return cmp.Or(l.logger, slog.Default()) }

func (l *incidentLog) withPage(attrs []slog.Attr) []slog.Attr {
	if l.page == nil {
		return attrs
	}
	return appendText(attrs, "page", l.page())
}

// incidentAttrs returns the attributes of a line about an incident.
func incidentAttrs(e *runtimeinfo.Event) []slog.Attr {
	i := e.Incident
	var attrs []slog.Attr
	switch {
	case i.Signal != "":
		attrs = append(attrs, slog.String("signal", i.Signal), slog.String("value", units.Format(i.Size, i.Unit)))
	case i.Kind == "unclosed":
		attrs = append(attrs, slog.Attr{Key: "bodies", Value: numberValue(i.Size)})
	default:
		attrs = append(attrs, slog.Attr{Key: "goroutines", Value: numberValue(i.Size)})
	}
	attrs = appendText(attrs, "site", i.Site)
	attrs = appendText(attrs, "root_span", i.Root)
	attrs = appendText(attrs, "evidence", i.Evidence)
	if i.Phase != runtimeinfo.IncidentClosed {
		attrs = appendText(attrs, "hint", i.Hint)
	}
	if len(e.Spans) > 0 {
		attrs = append(attrs, slog.String("trace_id", e.Spans[0].TraceIDString()))
	}
	return append(attrs, slog.String("incident", i.ID), slog.Time("since", i.Since))
}

// appendText appends an attribute unless it is empty.
func appendText(attrs []slog.Attr, key, value string) []slog.Attr {
	if value == "" {
		return attrs
	}
	return append(attrs, slog.String(key, value))
}
