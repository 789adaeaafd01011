// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Kind is the kind of a [Verdict].
type Kind string

// The kinds of verdict, worst first.
const (
	// LeakProven: according to the garbage collector nothing can wake the members.
	LeakProven Kind = "leak-proven"
	// Leak: the group grew, and its members neither run nor end, as recordings show.
	Leak Kind = "leak"
	// Stuck: requests in flight neither run nor end, although others like them did, or their
	// clients have disconnected.
	Stuck Kind = "stuck"
	// Burst: many goroutines appeared at once, too recently for another verdict.
	Burst Kind = "burst"
	// Pressure: the group grows; members end, but each stays longer than before.
	Pressure Kind = "pressure"
	// Load: the group grows; members end, or their root spans are still open.
	Load Kind = "load"
	// Connections: the group grows with the connections of clients.
	Connections Kind = "connections"
	// Pool: members stay and work, or the group has stopped growing.
	Pool Kind = "pool"
	// Growing: the group grows, and the reason is not known yet.
	Growing Kind = "growing"
)

// rank orders kinds, worst first.
func rank(k Kind) int {
	kinds := [...]Kind{LeakProven, Leak, Stuck, Burst, Pressure, Load, Connections, Pool, Growing}
	if i := slices.Index(kinds[:], k); i >= 0 {
		return i
	}
	return len(kinds)
}

// Suspect reports whether the kind is an alarm: a leak, or stuck requests.
func (k Kind) Suspect() bool { return k == LeakProven || k == Leak || k == Stuck }

// severity returns the severity of the event that opens a verdict.
func (k Kind) severity() slog.Level {
	switch k {
	case LeakProven, Leak:
		return slog.LevelError
	case Stuck:
		return slog.LevelWarn
	default:
		return slog.LevelInfo
	}
}

// Verdict is the result of evaluating one group of goroutines.
type Verdict struct {
	Kind Kind
	Key  Key
	// Since is when the verdict was opened.
	Since time.Time
	// Where is the line of the application to look at: where the members wait, else where
	// they are created, else the site of Key.
	Where Site
	// Creation is the line of the application that creates the members, from recordings. It
	// is zero if unknown.
	Creation Site
	// Count is the current number of members.
	Count int
	// Leaked is how many of them leak profiles contain.
	Leaked int
	// Old is how many of them are older than a minute according to recordings, or older than
	// 45 s according to their labels.
	Old int
	// PerMinute is the growth of the group's minimum.
	PerMinute float64
	// Roots are the local root spans under which members were created, most members first.
	Roots []Root
	// Ages are the members by age, youngest first, if they were created under a span.
	Ages []Age
	// Memory estimates the stacks of the members in bytes, from the mean of the process.
	Memory float64
	// ToLimit is the time until the memory limit is reached at this growth; 0 is unknown.
	ToLimit time.Duration
	// Evidence describes the observations behind the kind. Hint is the most likely mistake, or
	// "".
	Evidence, Hint string
	// Also are the other groups of the same incident, such as the second of the two goroutines
	// of every HTTP client connection.
	Also []Key

	creation []Site // a creation stack that contains Creation
}

// Root is a root-span name under which members of a group were created.
type Root struct {
	Name  string
	Count int
	// Examples are spans of that name that were active when members were created.
	Examples []runtimeinfo.Span
}

// Age counts the members of a group with a minimum age.
type Age struct {
	AtLeast time.Duration
	Count   int
}

// String returns the verdict in one line.
func (v *Verdict) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d goroutines", v.Kind, v.Count)
	if v.Key == (Key{}) { // only the number is known
		return b.String() + "; " + v.Evidence
	}
	where := cmp.Or(v.Where, v.Key.Site)
	fmt.Fprintf(&b, " at %s, in %s", where, v.Key.Class)
	if where != v.Key.Site {
		fmt.Fprintf(&b, " at %s", v.Key.Site)
	}
	if v.Key.Entry != "" {
		fmt.Fprintf(&b, " of %s", readable(v.Key.Entry))
	}
	if v.Creation != (Site{}) && v.Creation != where {
		fmt.Fprintf(&b, ", created at %s", v.Creation)
	}
	if v.PerMinute >= 1 {
		fmt.Fprintf(&b, ", %.0f more a minute", v.PerMinute)
	}
	if len(v.Roots) > 0 {
		fmt.Fprintf(&b, ", created under %s (%d)", v.Roots[0].Name, v.Roots[0].Count)
	}
	if n := len(v.Also); n > 0 {
		fmt.Fprintf(&b, ", with %d more groups", n)
	}
	if v.Evidence != "" {
		b.WriteString("; " + v.Evidence)
	}
	return b.String()
}

// event returns the event that exporters deliver.
func (v *Verdict) event(name string, now time.Time) runtimeinfo.Event {
	attrs := []slog.Attr{
		slog.String("verdict", string(v.Kind)),
		slog.Int("goroutines", v.Count),
		slog.Float64("growth_per_minute", v.PerMinute),
		slog.String("wait", v.Key.Class.String()),
		slog.String("wait_family", v.Key.Class.family()),
		slog.String("site", v.Key.Site.String()),
		slog.String("function", v.Key.Site.Function),
		slog.String("file", v.Key.Site.File),
		slog.Int("line", v.Key.Site.Line),
		slog.String("entry", v.Key.Entry),
		slog.String("where", v.Where.String()),
		slog.String("created_at", v.Creation.String()),
		slog.Time("since", v.Since),
		slog.Int("old", v.Old),
		slog.Int("leaked", v.Leaked),
		slog.Float64("stack_bytes", v.Memory),
	}
	if v.ToLimit > 0 {
		attrs = append(attrs, slog.Duration("until_memory_limit", v.ToLimit))
	}
	if v.Hint != "" {
		attrs = append(attrs, slog.String("hint", v.Hint))
	}
	if v.Evidence != "" {
		attrs = append(attrs, slog.String("evidence", v.Evidence))
	}
	if len(v.Roots) > 0 {
		attrs = append(attrs, slog.String("created_under", v.Roots[0].Name), slog.String("roots", v.roots()), slog.String("ages", v.ages()))
	}
	e := runtimeinfo.Event{Time: now, Name: name, Severity: v.Kind.severity(), Message: v.String(), Attrs: attrs}
	for _, r := range v.Roots {
		e.Spans = append(e.Spans, r.Examples...)
	}
	return e
}

// roots returns the roots in one string. As attribute keys, the names of the application would
// create new fields in the store of the events.
func (v *Verdict) roots() string {
	const most = 10
	var all []string
	for _, r := range v.Roots[:min(len(v.Roots), most)] {
		all = append(all, fmt.Sprintf("%s (%d)", r.Name, r.Count))
	}
	return strings.Join(all, ", ")
}

// ages returns the ages in one string: "0s+ 891, 10s+ 711".
func (v *Verdict) ages() string {
	var all []string
	for _, a := range v.Ages {
		all = append(all, fmt.Sprintf("%v+ %d", a.AtLeast, a.Count))
	}
	return strings.Join(all, ", ")
}
