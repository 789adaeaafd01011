// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Kind is what a [Verdict] says of a group, or of the whole process.
type Kind string

// The kinds of verdict, worst first.
const (
	// LeakProven: the garbage collector found that nothing can ever wake them.
	LeakProven Kind = "leak-proven"
	// Leak: the group grows, and its members neither run nor end, as recordings show.
	Leak Kind = "leak"
	// Stuck: requests in flight do not run and do not end, although others like
	// them did, or their clients have left.
	Stuck Kind = "stuck"
	// Burst: many goroutines at once, which have not stayed long enough to judge.
	Burst Kind = "burst"
	// Pressure: the group grows; members end, but each stays longer than before.
	Pressure Kind = "pressure"
	// Load: the group grows; members end, or their root spans are still open.
	Load Kind = "load"
	// Connections: the group grows with the connections of clients.
	Connections Kind = "connections"
	// Pool: members stay and are put to work, or the group has stopped growing.
	Pool Kind = "pool"
	// Growing: the group grows, and it is not known yet what it is.
	Growing Kind = "growing"
)

// rank orders kinds, worst first.
func rank(k Kind) int {
	switch k {
	case LeakProven:
		return 0
	case Leak:
		return 1
	case Stuck:
		return 2
	case Burst:
		return 3
	case Pressure:
		return 4
	case Load:
		return 5
	case Connections:
		return 6
	case Pool:
		return 7
	case Growing:
		return 8
	default:
		return 9
	}
}

// Suspect reports whether the kind is an alarm: a leak, or requests that are stuck.
func (k Kind) Suspect() bool { return k == LeakProven || k == Leak || k == Stuck }

// severity is that of the event which opens a verdict.
func (k Kind) severity() slog.Level {
	switch k {
	case LeakProven, Leak:
		return slog.LevelError
	case Stuck:
		return slog.LevelWarn
	case Burst, Pressure, Load, Connections, Pool, Growing:
		return slog.LevelInfo
	default:
		return slog.LevelInfo
	}
}

// Verdict is what is known of one group of goroutines.
type Verdict struct {
	Kind Kind
	Key  Key
	// Since is when the group was first seen to grow or to be stuck.
	Since time.Time
	// Where is the application's line that the reader should look at: where its code
	// waits, else where it creates the members, else the site of Key.
	Where Site
	// Creation is the application's line that creates the members, as recordings
	// show it; zero where it is not known.
	Creation Site
	// Count is the members now, Leaked how many of them the garbage collector proved
	// leaked, Old how many are known to be older than 45 s or, where there are
	// recordings, than a minute.
	Count, Leaked, Old int
	// PerMinute is the growth of the group's floor.
	PerMinute float64
	// Roots are the local root spans that the members were created under, most
	// first. A goroutine that was not created under a span has none.
	Roots []Root
	// Ages are the members by age, youngest first, as far as they were created
	// under a span.
	Ages []Age
	// Memory is the stacks of the members, in bytes, at the process's mean.
	Memory float64
	// ToLimit is how long the memory limit holds out at this rate; 0 is unknown.
	ToLimit time.Duration
	// Evidence says why, Hint what to look for, each in a sentence. Hint may be empty.
	Evidence, Hint string
	// Also are other groups of the same incident, such as the second of the two
	// goroutines of every HTTP client connection.
	Also []Key

	creation []Site // a creation stack that Creation is on
}

// Root is one root-span name that members of a group were created under.
type Root struct {
	Name  string
	Count int
	// Examples are spans of that name that were active when members were born.
	Examples []runtimeinfo.Span
}

// Age counts the members of a group that are at least so old.
type Age struct {
	AtLeast time.Duration
	Count   int
}

// String returns the verdict in one line.
func (v *Verdict) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d goroutines", v.Kind, v.Count)
	if v.Key == (Key{}) { // their number is all that is known
		return b.String() + "; " + v.Evidence
	}
	where := v.Where
	if where == (Site{}) {
		where = v.Key.Site
	}
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

// event makes the record that exporters ship.
func (v *Verdict) event(name string, now time.Time) runtimeinfo.Event {
	attrs := []slog.Attr{
		slog.String("verdict", string(v.Kind)),
		slog.Int("goroutines", v.Count),
		slog.Float64("growth_per_minute", v.PerMinute),
		slog.String("wait", v.Key.Class.String()),
		slog.String("wait_family", string(v.Key.Class.Family())),
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

// roots lists the roots as text: their names are the application's, and as keys
// they would be new fields in whatever stores the event.
func (v *Verdict) roots() string {
	const most = 10
	var all []string
	for _, r := range v.Roots[:min(len(v.Roots), most)] {
		all = append(all, fmt.Sprintf("%s (%d)", r.Name, r.Count))
	}
	return strings.Join(all, ", ")
}

// ages lists the ages as text: "0s+ 891, 10s+ 711".
func (v *Verdict) ages() string {
	var all []string
	for _, a := range v.Ages {
		all = append(all, fmt.Sprintf("%v+ %d", a.AtLeast, a.Count))
	}
	return strings.Join(all, ", ")
}
