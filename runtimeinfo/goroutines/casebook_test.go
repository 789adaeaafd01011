package goroutines

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// town is a made-up process: groups of goroutines with births, judged every five
// seconds. The rules are pure functions of surveys, so that hours take no time.
type town struct {
	t     *testing.T
	c     *casebook
	now   time.Time
	start time.Time
	rate  float64 // goroutines created a second, in all
	made  float64
	spans map[string]runtimeinfo.SpanGroup
	sure  map[Key]int
}

const testSlot = 5 * time.Second

func newTown(t *testing.T) *town {
	t.Helper()
	start := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	w := &town{t: t, start: start, now: start, rate: 100, made: 1, spans: map[string]runtimeinfo.SpanGroup{}, sure: map[Key]int{}}
	w.c = newCasebook(rules{slot: testSlot, minGrowth: 20, minAge: 4 * testSlot}, w)
	return w
}

// Origin makes ten-second epochs named by their start.
func (w *town) Origin(root, epoch string) (runtimeinfo.Origin, bool) {
	s, err := strconv.Atoi(epoch)
	if err != nil {
		return runtimeinfo.Origin{}, false
	}
	from := w.start.Add(time.Duration(s) * time.Second)
	return runtimeinfo.Origin{From: from, To: from.Add(10 * time.Second), Names: w.names(root), Examples: []runtimeinfo.Span{{Name: root}}}, true
}

func (w *town) epoch(ago time.Duration) string {
	s := int(w.now.Add(-ago).Sub(w.start).Seconds())
	return strconv.Itoa(s / 10 * 10)
}

// names has the spans behind a label.
func (w *town) names(label string) (all []string) {
	for name := range w.spans {
		if strings.HasPrefix(name, label) && (name == label || len(label) == 47) {
			all = append(all, name)
		}
	}
	return all
}

// look adds one survey and moves on by a slot.
func (w *town) look(groups ...Group) []Verdict {
	s := &Survey{Time: w.now, Groups: groups}
	for i := range groups {
		s.Goroutines += groups[i].Count
	}
	w.made += w.rate * testSlot.Seconds()
	v := w.c.add(s, circumstances{
		now: w.now, created: w.made, spans: w.spans, stack: float64(s.Goroutines) * 8192, headroom: 1 << 30,
		proven: func(k Key) int { return w.sure[k] },
	})
	w.now = w.now.Add(testSlot)
	return v
}

func group(class WaitClass, site string, count int, births ...Birth) Group {
	return Group{Key: Key{Class: class, Site: Site{Function: site, File: "/src/" + site + ".go", Line: 42}, Entry: site + ".func1"}, Count: count, Births: births}
}

// births spreads n members evenly over the last d, under one root: the newest was
// born a moment ago, so that nobody's birth moves from one look to the next.
func (w *town) births(root string, n int, d time.Duration) (bs []Birth) {
	for i := range n {
		epoch := w.epoch(d / time.Duration(2*n) * time.Duration(2*i+1))
		if last := len(bs) - 1; last >= 0 && bs[last].Epoch == epoch {
			bs[last].Count++
			continue
		}
		bs = append(bs, Birth{Root: root, Epoch: epoch, Count: 1})
	}
	return bs
}

func kinds(vs []Verdict) string {
	var all []string
	for _, v := range vs {
		all = append(all, string(v.Kind))
	}
	return strings.Join(all, " ")
}

// The article's case: a request starts a goroutine that waits for ever.
func TestLeakUnderASpan(t *testing.T) {
	w := newTown(t)
	for range 12 {
		if v := w.look(); len(v) > 0 {
			t.Fatalf("a verdict on nothing: %v", v)
		}
	}
	began := w.now
	var first *Verdict
	var after time.Duration
	for i := range 24 {
		n := 10 * (i + 1) // two a second: 110 more after 11 slots
		vs := w.look(group(ChanReceive, "shop.checkout", n, w.births("GET /checkout", n, time.Duration(i+1)*testSlot)...))
		if len(vs) > 0 && first == nil {
			first, after = &vs[0], w.now.Sub(began)
			if first.Kind != Leak {
				t.Fatalf("first verdict after %v: %v", after, first)
			}
		}
	}
	if first == nil || after > 70*time.Second {
		t.Fatalf("verdict %v after %v, want one within 70 s", first, after)
	}
	if len(first.Roots) != 1 || first.Roots[0].Name != "GET /checkout" || len(first.Roots[0].Examples) == 0 {
		t.Errorf("roots %+v", first.Roots)
	}
	if first.PerMinute < 100 || first.PerMinute > 140 {
		t.Errorf("growth of %v a minute, want 120", first.PerMinute)
	}
	if first.Memory != float64(first.Count)*8192 {
		t.Errorf("memory %v for %d goroutines with 8 KiB each", first.Memory, first.Count)
	}
	if want := time.Duration(float64(1<<30) / (120 * 8192) * float64(time.Minute)); first.ToLimit < want/2 || first.ToLimit > 2*want {
		t.Errorf("limit in %v, want about %v", first.ToLimit, want)
	}
	if !strings.Contains(first.String(), "leak: ") || !strings.Contains(first.String(), "created under GET /checkout") || strings.Contains(first.String(), "caused") {
		t.Errorf("says %q", first)
	}
	var names []string
	for _, e := range w.c.takeEvents() {
		names = append(names, e.Name)
	}
	if !slices.Equal(names, []string{"goroutine.verdict.opened", "goroutine.verdict.doubled"}) {
		t.Errorf("events %q", names)
	}
	// They are gone.
	if vs := w.look(); len(vs) > 0 {
		t.Errorf("verdicts on nothing: %v", vs)
	}
	if e := w.c.takeEvents(); len(e) != 1 || e[0].Name != "goroutine.verdict.closed" {
		t.Errorf("events %v", e)
	}
}

// A leak that stops growing is a leak still.
func TestLeakStands(t *testing.T) {
	w := newTown(t)
	n := 0
	for i := range 20 {
		n = 10 * (i + 1)
		w.look(group(ChanSend, "shop.notify", n, w.births("POST /order", n, time.Duration(i+1)*testSlot)...))
	}
	for range 40 {
		old := []Birth{{Root: "POST /order", Epoch: "0", Count: n / 2}, {Root: "POST /order", Epoch: "10", Count: n / 2}}
		if got := kinds(w.look(group(ChanSend, "shop.notify", n, old...))); got != "leak" {
			t.Fatalf("after growth: %q", got)
		}
	}
}

// Requests in flight: Poisson, young, at ten times the load.
func TestLoadIsNotALeak(t *testing.T) {
	w := newTown(t)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 60 {
		w.rate = 100 + 30*float64(i)
		n := int(w.rate/10 + r.NormFloat64()*math.Sqrt(w.rate/10))
		vs := w.look(group(Select, "shop.serve", n, w.births("GET /", n, 5*time.Second)...))
		for _, v := range vs {
			if v.Kind != Load && v.Kind != Pool {
				t.Errorf("slot %d: %v", i, v)
			}
		}
	}
}

// A dependency slows down: members turn over, each staying longer.
func TestPressure(t *testing.T) {
	w := newTown(t)
	w.spans["GET /"] = runtimeinfo.SpanGroup{P99: 2 * time.Second}
	var all []string
	for i := range 40 {
		n := 20 + 10*i
		vs := w.look(group(IO, "shop.query", n, w.births("GET /", n, 10*time.Second)...))
		all = append(all, kinds(vs))
	}
	seen := strings.Join(all, " ")
	if !strings.Contains(seen, "pressure") || strings.Contains(seen, "leak") || strings.Contains(seen, "stuck") {
		t.Errorf("verdicts %q", seen)
	}
}

// The members' spans are still open: they block their requests.
func TestStuck(t *testing.T) {
	w := newTown(t)
	got := ""
	for i := range 30 {
		n := 5 * (i + 1)
		g := runtimeinfo.SpanGroup{Name: "GET /report", Active: n, P99: 50 * time.Millisecond}
		for k := range n { // one began every second
			age := float64(k)
			bucket := 0
			for b := 1.0; b <= age; b *= 2 {
				bucket++
			}
			g.Ages[bucket]++
		}
		w.spans["GET /report"] = g
		got = kinds(w.look(group(Mutex, "shop.report", n, w.births("GET /report", n, time.Duration(n)*time.Second)...)))
	}
	if got != "stuck" {
		t.Errorf("verdict %q, want stuck", got)
	}
}

// Labels are cut: goroutines of a slow request with a long name are as old as its
// spans take, and under its name.
func TestLongNames(t *testing.T) {
	const name = "GET /api/v1/organizations/{organization}/projects/{project}/items"
	for took, want := range map[time.Duration]string{time.Minute: "load", 50 * time.Millisecond: "leak"} {
		w := newTown(t)
		w.spans[name] = runtimeinfo.SpanGroup{Name: name, P99: took}
		w.spans["GET /"] = runtimeinfo.SpanGroup{Name: "GET /", P99: time.Hour}
		var vs []Verdict
		for i := range 24 {
			n := 10 * (i + 1)
			w.rate = float64(n)
			vs = w.look(group(Select, "shop.items", n, w.births(name[:47], n, time.Duration(i+1)*testSlot)...))
		}
		if kinds(vs) != want || vs[0].Roots[0].Name != name {
			t.Errorf("such requests take %v: %v, under %v; want %s", took, vs, vs[0].Roots, want)
		}
	}
}

// Jobs that are still going on and start ever more goroutines: those have not
// outlived anything.
func TestOpenSpansAreNotOutlived(t *testing.T) {
	w := newTown(t)
	for i := range 60 {
		jobs, bs := runtimeinfo.SpanGroup{Name: "job"}, []Birth(nil)
		for k := range min(5, i/2) { // one began every ten seconds
			age := 0
			for s := w.now.Sub(w.start.Add(time.Duration(10*k) * time.Second)); s >= time.Second; s /= 2 {
				age++
			}
			jobs.Active++
			jobs.Ages[age]++
			bs = append(bs, Birth{Root: "job", Epoch: strconv.Itoa(10 * k), Count: 4 * (i + 1)})
		}
		w.spans["job"] = jobs
		for _, v := range w.look(group(ChanReceive, "shop.work", 4*(i+1)*jobs.Active, bs...)) {
			if v.Kind.Suspect() {
				t.Fatalf("slot %d: %v", i, &v)
			}
		}
	}
}

// A thousand at once, which go as they came.
func TestBurst(t *testing.T) {
	w := newTown(t)
	for range 6 {
		w.look(group(Select, "shop.serve", 20, w.births("GET /", 20, 5*time.Second)...))
	}
	var seen []string
	for _, n := range []int{1000, 900, 150, 20, 20} {
		seen = append(seen, kinds(w.look(group(Select, "shop.serve", n, w.births("GET /", n, 5*time.Second)...))))
	}
	if !slices.Equal(seen, []string{"burst", "burst", "", "", ""}) {
		t.Errorf("verdicts %q", seen)
	}
	r := Report{Verdicts: w.c.standing()}
	if r.Process() != "" {
		t.Errorf("afterwards the process is in %s", r.Process())
	}
}

// A burst that goes on growing is no pool on its way to being a leak.
func TestBurstBecomesLeak(t *testing.T) {
	w := newTown(t)
	var seen []string
	for i := range 20 {
		n := 60 * (i + 1)
		if k := kinds(w.look(group(ChanSend, "shop.notify", n, w.births("POST /order", n, time.Duration(i+1)*testSlot)...))); len(seen) == 0 || seen[len(seen)-1] != k {
			seen = append(seen, k)
		}
	}
	if !slices.Equal(seen, []string{"", "burst", "leak"}) {
		t.Errorf("verdicts %q", seen)
	}
}

func TestConnections(t *testing.T) {
	w := newTown(t)
	var vs []Verdict
	for i := range 20 {
		g := group(IO, "net/http.(*connReader).Read", 20*(i+1), w.births("GET /first", 20*(i+1), time.Duration(i+1)*testSlot)...)
		g.Entry = "net/http.(*conn).serve"
		vs = w.look(g)
	}
	if kinds(vs) != "connections" || len(vs[0].Roots) != 0 {
		t.Errorf("verdicts %v, roots %v: a connection is not of the first request that it served", vs, vs[0].Roots)
	}
}

// Handlers that last as long as their connection, each with a goroutine that writes,
// and ones that are stuck though others like them have ended.
func TestHandlersThatStay(t *testing.T) {
	for _, tt := range []struct {
		name  string
		class WaitClass
		entry string
		usual time.Duration
		ended int // a slot
		want  string
	}{
		{"streams", Select, "net/http.(*conn).serve", 0, 0, "connections connections"},
		{"though such requests take 20 ms", Select, "net/http.(*conn).serve", 20 * time.Millisecond, 500, "stuck stuck"},
		{"of which a few are refused at once", Select, "net/http.(*conn).serve", 20 * time.Millisecond, 1, "connections connections"},
		{"at a lock", Mutex, "net/http.(*conn).serve", 0, 0, "stuck stuck"},
		{"no handlers of connections", IO, "shop.consume", 0, 0, "stuck stuck"},
	} {
		w := newTown(t)
		got := ""
		for i := range 80 {
			n := 10 * (i + 1)
			g := runtimeinfo.SpanGroup{Name: "GET /events", Active: n, P99: tt.usual, Ended: uint64(tt.ended * i)}
			g.Ages[6] = n
			w.spans["GET /events"] = g
			births := w.births("GET /events", n, time.Duration(i+1)*testSlot)
			handler, writer := group(tt.class, "shop.events", n, births...), group(tt.class, "shop.write", n, births...)
			handler.Entry = tt.entry
			got = kinds(w.look(handler, writer))
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %s", tt.name, got, tt.want)
		}
	}
}

// Spans of streams that last for longer than the TTL are given up: their handlers are
// in flight all the same, and so is what runs beside them.
func TestStreamsThatWereGivenUp(t *testing.T) {
	w := newTown(t)
	var all []session
	got := ""
	for i := range 2000 { // almost three hours
		if i%10 == 0 {
			all = append(all, session{w.now, w.now.Add(24 * time.Hour)})
		}
		g := runtimeinfo.SpanGroup{Name: "GET /ws", P99: 2 * time.Millisecond, Ended: uint64(i / 25)} // a few are refused
		g.Ages[9] = min(len(all), 12)                                                                 // those of the last ten minutes
		g.Active = g.Ages[9]
		w.spans["GET /ws"] = g
		births, n := w.sessions("GET /ws", all)
		handler, writer := group(Select, "hub.serve", n, births...), group(Select, "hub.write", n, births...)
		handler.Entry = "net/http.(*conn).serve"
		vs := w.look(handler, writer)
		for _, v := range vs {
			if v.Kind.Suspect() {
				t.Fatalf("slot %d: %v", i, &v)
			}
		}
		got = kinds(vs)
	}
	if got != "connections connections" {
		t.Errorf("verdicts %q", got)
	}
}

// The loops of kept connections have the label of the first request, and such
// requests are always in flight: that does not make them stuck.
func TestKeptConnectionsAreNotStuck(t *testing.T) {
	w := newTown(t)
	for range 30 {
		g := runtimeinfo.SpanGroup{Name: "GET /first", Active: 100, P99: 50 * time.Millisecond}
		g.Ages[7] = 100
		w.spans["GET /first"] = g
		loop := group(Select, "net/http.(*persistConn).writeLoop", 50, Birth{Root: "GET /first", Epoch: "0", Count: 50})
		loop.Entry = loop.Site.Function
		for _, v := range w.look(loop) {
			if v.Kind.Suspect() {
				t.Fatal(v.String())
			}
		}
	}
}

// A pool that is filled on demand and then stays: no leak before, none after.
func TestPool(t *testing.T) {
	w := newTown(t)
	for i := range 80 {
		n := min(4+2*i, 32)
		vs := w.look(group(ChanReceive, "pool.worker", n, w.births("GET /first", n, time.Duration(min(i, 14)+1)*testSlot)...))
		for _, v := range vs {
			if v.Kind.Suspect() {
				t.Fatalf("slot %d: %v", i, v)
			}
		}
	}
}

// Nor are they a leak where more of them are kept because there is more to do.
func TestKeptConnectionsGrowWithTheLoad(t *testing.T) {
	w := newTown(t)
	w.spans["GET /x"] = runtimeinfo.SpanGroup{Name: "GET /x", P99: 50 * time.Millisecond}
	var all []session
	for i := range 720 { // an hour
		for len(all) < 20+i/4 {
			all = append(all, session{w.now, w.now.Add(24 * time.Hour)})
		}
		births, n := w.sessions("GET /x", all)
		w.rate = float64(10 * n)
		read, write := group(IO, "net/http.(*persistConn).readLoop", n, births...), group(Select, "net/http.(*persistConn).writeLoop", n, births...)
		read.Entry, write.Entry = read.Site.Function, write.Site.Function
		watch := group(Select, "github.com/go-sql-driver/mysql.(*mysqlConn).startWatcher", n, births...)
		for _, v := range w.look(read, write, watch) {
			if v.Kind.Suspect() {
				t.Fatalf("slot %d: %v", i, &v)
			}
		}
	}
}

// session is a goroutine of a made-up client that has come and will go.
type session struct{ came, goes time.Time }

// sessions are the births of who is there now.
func (w *town) sessions(root string, all []session) (bs []Birth, n int) {
	counts := map[string]int{}
	for _, s := range all {
		if !s.came.After(w.now) && w.now.Before(s.goes) {
			counts[w.epoch(w.now.Sub(s.came))]++
			n++
		}
	}
	for epoch, k := range counts {
		bs = append(bs, Birth{Root: root, Epoch: epoch, Count: k})
	}
	return bs, n
}

// A hub of web sockets whose handler returns: its goroutines outlive their span by
// far, and there are ever more of them. But they go in the end.
func TestSessionsAreNoLeak(t *testing.T) {
	w := newTown(t)
	w.spans["GET /ws"] = runtimeinfo.SpanGroup{Name: "GET /ws", P99: 5 * time.Millisecond}
	var all []session
	for i := range 600 { // fifty minutes
		for k := range 2 {
			stays := time.Duration((7*i+11*k)%20+1) * time.Minute
			all = append(all, session{w.now, w.now.Add(stays)})
		}
		bs, n := w.sessions("GET /ws", all)
		for _, v := range w.look(group(IO, "hub.readPump", n, bs...), group(Select, "hub.writePump", n, bs...)) {
			if v.Kind.Suspect() {
				t.Fatalf("slot %d: %v", i, &v)
			}
		}
	}
}

// Where it takes long until the first go, what was said is taken back, once.
func TestLeakIsTakenBack(t *testing.T) {
	w := newTown(t)
	w.spans["GET /ws"] = runtimeinfo.SpanGroup{Name: "GET /ws", P99: 5 * time.Millisecond}
	var all []session
	var got []string
	for i := range 1440 { // two hours
		all = append(all, session{w.now, w.now.Add(time.Duration(30+7*i%30) * time.Minute)})
		bs, n := w.sessions("GET /ws", all)
		w.look(group(Select, "hub.writePump", n, bs...))
		for _, e := range w.c.takeEvents() {
			if strings.Contains(e.Message, "leak") {
				got = append(got, e.Name)
			}
		}
	}
	if first, last := "goroutine.verdict.opened", "goroutine.verdict.closed"; len(got) < 2 || got[0] != first || got[len(got)-1] != last || slices.Index(got, last) != len(got)-1 {
		t.Errorf("events %q", got)
	}
}

// What is known of the few with labels says nothing of the many without.
func TestFewLabelsRefuteNothing(t *testing.T) {
	w := newTown(t)
	w.spans["GET /ws"] = runtimeinfo.SpanGroup{Name: "GET /ws", P99: 5 * time.Millisecond}
	var all []session
	opened := 0
	for i := range 60 {
		for k := range 5 {
			all = append(all, session{w.now, w.now.Add(time.Duration(40+10*k) * time.Second)})
		}
		bs, n := w.sessions("GET /ws", all)
		w.look(group(Select, "hub.wait", n+20*(i+1), bs...))
		for _, e := range w.c.takeEvents() {
			if e.Name == "goroutine.verdict.opened" && strings.Contains(e.Message, "leak") {
				opened++
			}
		}
	}
	if opened != 1 {
		t.Errorf("the leak of those without labels was opened %d times", opened)
	}
}

// A tick that does not tell how many goroutines were created says nothing of the
// ticks after it.
func TestCreationsUnknownForAMoment(t *testing.T) {
	w := newTown(t)
	for i := range 30 {
		made := w.made
		if i == 5 {
			w.made = math.NaN()
		}
		if got := kinds(w.look(group(ChanSend, "shop.notify", 10*(i+1)))); got != "" && got != "leak" {
			t.Fatalf("slot %d: verdict %q, want leak", i, got)
		}
		if i == 5 {
			w.made = made + w.rate*testSlot.Seconds()
		}
	}
}

// Workers that live on start a goroutine for each job: it inherits the label of the
// request that happened to start the worker, and is not as old as that.
func TestStaleLabels(t *testing.T) {
	w := newTown(t)
	for i := range 120 {
		jobs := 5 + 2*max(0, i-30)
		w.rate = float64(jobs)
		var bs []Birth
		for worker := range min(10, i/2) { // one every ten seconds
			bs = append(bs, Birth{Root: "GET /first", Epoch: strconv.Itoa(10 * worker), Count: jobs})
		}
		for _, v := range w.look(group(ChanReceive, "pool.job", len(bs)*jobs, bs...)) {
			if v.Kind.Suspect() {
				t.Fatalf("slot %d: %v", i, &v)
			}
		}
	}
}

// Two goroutines of every HTTP client connection are one incident.
func TestIncident(t *testing.T) {
	w := newTown(t)
	var vs []Verdict
	for i := range 20 {
		n := 10 * (i + 1)
		read, write := group(Select, "net/http.(*persistConn).readLoop", n, w.births("GET /", n, time.Duration(i+1)*testSlot)...), group(Select, "net/http.(*persistConn).writeLoop", n, w.births("GET /", n, time.Duration(i+1)*testSlot)...)
		read.Entry, write.Entry = read.Site.Function, write.Site.Function
		vs = w.look(read, write)
	}
	if kinds(vs) != "leak leak" {
		t.Fatalf("verdicts %v", vs)
	}
	if len(vs[0].Also)+len(vs[1].Also) != 1 || !strings.Contains(vs[0].Hint, "body") {
		t.Errorf("also %v and %v, hint %q", vs[0].Also, vs[1].Also, vs[0].Hint)
	}
	opened := 0
	for _, e := range w.c.takeEvents() {
		if e.Name == "goroutine.verdict.opened" {
			opened++
		}
	}
	if opened != 1 {
		t.Errorf("%d events for one incident", opened)
	}
}

func TestProven(t *testing.T) {
	w := newTown(t)
	g := group(ChanSend, "shop.notify", 7)
	w.sure[g.Key] = 7
	vs := w.look(g)
	if kinds(vs) != "leak-proven" || vs[0].Leaked != 7 {
		t.Errorf("verdicts %v", vs)
	}
}

// Without labels: growth that does not follow the load and never falls is
// suspected, growth with the load is not.
func TestUnlabelled(t *testing.T) {
	w := newTown(t)
	var vs []Verdict
	for i := range 16 {
		vs = w.look(group(ChanSend, "shop.notify", 10*(i+1)))
	}
	if kinds(vs) != "leak" || !strings.HasPrefix(vs[0].Evidence, "suspected") {
		t.Errorf("verdicts %v", vs)
	}
	w = newTown(t)
	for i := range 30 {
		w.rate = 100 * float64(i+1)
		for _, v := range w.look(group(Select, "shop.serve", 10*(i+1))) {
			if v.Kind.Suspect() {
				t.Fatalf("slot %d: %v", i, v)
			}
		}
	}
}

// roll calls the roll of one group: each member is there for as many slots as
// stay says, and one more comes in each of ten numbers a slot.
func (w *town) roll(g Group, slot, stay int) {
	site := g.Site
	site.Function = withoutTypes(site.Function) // a trace knows no more
	var members []Member
	for born := max(0, slot-stay+1); born <= slot; born++ {
		for i := range 10 {
			members = append(members, Member{ID: uint64(10*born + i), Stack: []Site{
				{Function: "runtime.gopark"}, {Function: map[WaitClass]string{ChanSend: "runtime.chansend1", IO: "internal/poll.runtime_pollWait"}[g.Class]}, site, {Function: withoutTypes(g.Entry)},
			}})
		}
	}
	w.c.cohorts.add(w.now, w.c.apart(), members)
}

// Goroutines without a span, told apart by roll calls: those that stay leak, and
// those that come and go do not, however much their number grows.
func TestRollCalls(t *testing.T) {
	for _, tt := range []struct {
		name  string
		class WaitClass
		site  string
		stay  int
		want  string
	}{
		{"they stay", ChanSend, "shop.notify", 1000, "leak"},
		{"each stays for half a minute", ChanSend, "shop.notify", 6, "pressure"},
		{"they wait for a peer", IO, "shop.notify", 1000, "connections"},
		{"generic code", ChanSend, "shop.(*Hub[go.shape.[]uint8]).notify", 1000, "leak"},
	} {
		w := newTown(t)
		w.c.rollable, w.c.rolling = true, true
		var vs []Verdict
		for i := range 30 {
			g := group(tt.class, tt.site, 10*(i+1))
			vs = w.look(g)
			if len(vs) > 0 && strings.HasPrefix(vs[0].Evidence, "suspected") {
				t.Fatalf("%s: slot %d: suspected where the roll can be called: %v", tt.name, i, vs)
			}
			if w.c.asks {
				w.roll(g, i, tt.stay)
			}
		}
		if kinds(vs) != tt.want {
			t.Errorf("%s: verdicts %v, want %s", tt.name, vs, tt.want)
		}
		if tt.want == "leak" && !strings.Contains(vs[0].Evidence, "are still there") {
			t.Errorf("evidence %q", vs[0].Evidence)
		}
	}
}

// A leak too slow to be seen rising from slot to slot is looked into once its
// trend is plain.
func TestRollIsCalledForASlowLeak(t *testing.T) {
	w := newTown(t)
	w.c.rollable, w.c.rolling = true, true
	var vs []Verdict
	for i := range 300 {
		g := group(ChanSend, "shop.notify", 1+i/3) // four a minute
		vs = w.look(g)
		if !w.c.asks {
			continue
		}
		members := make([]Member, g.Count)
		for id := range members {
			members[id] = Member{ID: uint64(id), Stack: []Site{{Function: "runtime.gopark"}, {Function: "runtime.chansend1"}, g.Site, {Function: g.Entry}}}
		}
		w.c.cohorts.add(w.now, w.c.apart(), members)
	}
	if kinds(vs) != "leak" || !strings.Contains(vs[0].Evidence, "are still there") {
		t.Errorf("verdicts %v", vs)
	}
}

// Where the roll call fails, the shape of the growth must do.
func TestRollCallFails(t *testing.T) {
	w := newTown(t)
	w.c.rollable = true
	var vs []Verdict
	for i := range 16 {
		vs = w.look(group(ChanSend, "shop.notify", 10*(i+1)))
	}
	if kinds(vs) != "leak" || !strings.HasPrefix(vs[0].Evidence, "suspected") {
		t.Errorf("verdicts %v", vs)
	}
}

// Labelled groups and those that stand still need no roll call.
func TestRollCallsAreRare(t *testing.T) {
	w := newTown(t)
	w.c.rollable, w.c.rolling = true, true
	for i := range 30 {
		n := 10 * (i + 1)
		w.look(
			group(ChanReceive, "shop.checkout", n, w.births("GET /checkout", n, time.Duration(i+1)*testSlot)...),
			group(Select, "shop.pool", 500),
			group(Select, "shop.requests", 100+i%2*30),
		)
		if i > 0 && w.c.asks {
			t.Fatalf("slot %d: a roll call is asked for", i)
		}
	}
}

// More and more goroutines that are ready to run: the processors are short.
func TestRunnable(t *testing.T) {
	w := newTown(t)
	var got string
	for i := range 16 {
		got = kinds(w.look(group(Running, "shop.hash", 10*(i+1))))
	}
	if got != "pressure" {
		t.Errorf("verdict %q", got)
	}
}

// Ten thousand groups: bounded memory and time.
func TestManyGroups(t *testing.T) {
	w := newTown(t)
	var groups []Group
	for i := range 10_000 {
		groups = append(groups, group(ChanSend, "f"+strconv.Itoa(i), 3))
	}
	for range 5 {
		w.look(groups...)
	}
	if n := len(w.c.tracks); n != 10_000 {
		t.Errorf("%d tracks", n)
	}
	for range 2*slots + 2 {
		w.look()
	}
	if n := len(w.c.tracks); n != 0 {
		t.Errorf("%d tracks of groups long gone", n)
	}
}

func TestGrows(t *testing.T) {
	for name, c := range map[string]struct {
		x    []float64
		want bool
	}{
		"steady":       {[]float64{0, 10, 20, 30, 40, 50, 60, 70, 80, 90}, true},
		"one step":     {[]float64{10, 10, 10, 10, 10, 60, 60, 60, 60, 60}, false},
		"has stopped":  {[]float64{0, 20, 40, 60, 80, 80, 80, 80, 80, 80}, false},
		"too little":   {[]float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, false},
		"too short":    {[]float64{0, 10, 20, 30, 40, 50, 60}, false},
		"noise":        {[]float64{50, 40, 60, 45, 55, 41, 66, 43, 58, 70}, false},
		"noisy growth": {[]float64{0, 12, 19, 33, 38, 52, 59, 73, 78, 92}, true},
	} {
		if grows(c.x, 20) != c.want {
			t.Errorf("%s: %v", name, !c.want)
		}
	}
}

func TestFloors(t *testing.T) {
	var f floors
	for _, v := range []struct {
		slot int64
		v    float64
	}{{0, 5}, {0, 3}, {0, 9}, {1, 7}, {4, 2}, {3, 1}} {
		f.add(v.slot, v.v)
	}
	want := []float64{3, 7, 7, 7, 1} // gaps repeat, a step back of the clock counts for the slot under way
	got := f.series()
	if len(got) != len(want) {
		t.Fatalf("%v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%v, want %v", got, want)
		}
	}
	f.add(1000, 4)
	if got := f.series(); len(got) != slots || got[slots-1] != 4 || got[0] != 1 {
		t.Errorf("after a long gap %v", got)
	}
}
