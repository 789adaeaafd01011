// SPDX-License-Identifier: Apache-2.0

package profiler_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
)

// sample is samples of a CPU profile with one stack, outermost function first.
type sample struct {
	stack  string // functions with spaces between them
	labels map[string]string
	n      int64
}

// cpuProfile returns a profile as runtime/pprof writes it.
func cpuProfile(t testing.TB, samples ...sample) []byte {
	t.Helper()
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		PeriodType: &profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, Period: 1e7,
	}
	functions := map[string]*profile.Location{}
	for _, s := range samples {
		x := &profile.Sample{Value: []int64{s.n, s.n * 1e7}, Label: map[string][]string{}}
		for k, v := range s.labels {
			x.Label[k] = []string{v}
		}
		for name := range strings.FieldsSeq(s.stack) {
			loc := functions[name]
			if loc == nil {
				id := uint64(len(p.Function) + 1)
				f := &profile.Function{ID: id, Name: name}
				loc = &profile.Location{ID: id, Address: id, Line: []profile.Line{{Function: f, Line: 1}}}
				functions[name], p.Function, p.Location = loc, append(p.Function, f), append(p.Location, loc)
			}
			x.Location = append([]*profile.Location{loc}, x.Location...)
		}
		p.Sample = append(p.Sample, x)
	}
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func root(name string) map[string]string { return map[string]string{"root": name, "epoch": "0"} }

// CPU time belongs to the root span, the runtime, the agent, or none of them.
func TestOwners(t *testing.T) {
	const long = "GET /customers/{customer}/orders/{order}/positions"
	p := newProfiler(t, profiler.Config{
		RootLabel: "root", EpochLabel: "epoch",
		Origin: func(value, epoch string) (o runtimeinfo.Origin, ok bool) {
			return runtimeinfo.Origin{Names: []string{long}}, value == long[:47] && epoch == "0"
		},
	})
	begin := time.Unix(1000, 0)
	p.Begin(begin)
	data := cpuProfile(
		t,
		sample{"net/http.(*conn).serve main.cart", root("GET /cart"), 60},
		sample{"net/http.(*conn).serve main.order", root(long[:47]), 20},
		sample{"runtime.mcall runtime.schedule", root("GET /cart"), 3}, // on behalf of the span
		sample{"runtime.gcBgMarkWorker runtime.scanobject", nil, 7},
		sample{"runtime.main main.main", nil, 5},
		sample{"main.worker", nil, 2},
		sample{"gmpulse/engine.run", map[string]string{"gmpulse": "tick"}, 1},
		sample{"", nil, 2},
	)
	if err := p.AddCPU(data, begin.Add(30*time.Second), 20*time.Second, time.Second); err != nil {
		t.Fatal(err)
	}
	u := p.Usage(time.Time{}, time.Time{})
	if u.Profiles != 1 || u.Total != 20 || u.Observed != 1 || !u.From.Equal(begin) || !u.To.Equal(begin.Add(30*time.Second)) {
		t.Errorf("%+v", u)
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9 {
			t.Errorf("%s: %v s, want %v", what, got, want)
		}
	}
	near("unowned", u.Unowned, 20*0.08)
	near("agent", u.Agent, 20*0.01)
	near("runtime", u.Runtime, 20*0.09)
	if len(u.Roots) != 2 || u.Roots[0].Root != "GET /cart" || u.Roots[1].Root != long || u.Roots[0].Samples != 63 {
		t.Fatalf("%+v", u.Roots)
	}
	near("cart", u.Roots[0].Seconds, 20*0.63)
	near("its error", u.Roots[0].Error, 20*math.Sqrt(63*0.37)/100)
	near("order", u.Roots[1].Seconds, 20*0.20)
}

// Usage has the profiles that ended in the range.
func TestUsageOfARange(t *testing.T) {
	p := newProfiler(t, profiler.Config{RootLabel: "root"})
	begin := time.Unix(1000, 0)
	p.Begin(begin)
	for i, name := range []string{"a", "b", "c", "d"} {
		end := begin.Add(time.Duration(i+1) * 30 * time.Second)
		if err := p.AddCPU(cpuProfile(t, sample{"main.main", root(name), 10}), end, time.Duration(i+1)*3*time.Second, 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	u := p.Usage(begin.Add(60*time.Second), begin.Add(100*time.Second))
	if u.Profiles != 2 || u.Total != 6 || len(u.Roots) != 2 || u.Roots[0].Root != "b" || u.Roots[0].Seconds != 3 || !u.From.Equal(begin.Add(30*time.Second)) {
		t.Errorf("%+v", u)
	}
	if u := p.Usage(begin.Add(200*time.Second), begin.Add(300*time.Second)); u.Profiles != 0 {
		t.Errorf("beyond the last: %+v", u)
	}
	if u := p.Usage(begin.Add(61*time.Second), begin.Add(62*time.Second)); u.Profiles != 0 || u.Roots != nil {
		t.Errorf("between two: %+v", u)
	}
}

func TestUnreadableProfile(t *testing.T) {
	p := newProfiler(t, profiler.Config{})
	if p.AddCPU([]byte("x"), time.Now(), 0, 0) == nil {
		t.Error("no error")
	}
	var heap bytes.Buffer
	x := &profile.Profile{SampleType: []*profile.ValueType{{Type: "a", Unit: "count"}, {Type: "b", Unit: "bytes"}}}
	if err := x.Write(&heap); err != nil {
		t.Fatal(err)
	}
	if p.AddCPU(heap.Bytes(), time.Now(), 0, 0) == nil {
		t.Error("no error for another kind of profile")
	}
}

// simulation is a process of two CPUs for five minutes. Most of the time it is quiet and serves "a".
// Each 30 s it is busy for five seconds with "b". A profile is one second at a random time in each
// period.
func simulation(r *rand.Rand, n int) (periods []profiler.Simulated, truth map[string]float64) {
	const length = 30
	truth = map[string]float64{}
	for range n {
		burst := r.IntN(length - 5)
		at := r.IntN(length)
		x := profiler.Simulated{Length: 1, Roots: map[string]int{}}
		for second := range length {
			load := []float64{0.2, 0.02}
			if second >= burst && second < burst+5 {
				load[1] = 1.6
			}
			for i, name := range []string{"a", "b"} { // in order, for the same random numbers in each run
				cpus := load[i] * (0.9 + 0.2*r.Float64())
				truth[name] += cpus
				x.Total += cpus
				if second == at {
					x.Observed += cpus
					x.Roots[name] = poisson(r, 100*cpus)
				}
			}
		}
		periods = append(periods, x)
	}
	return periods, truth
}

func poisson(r *rand.Rand, mean float64) (n int) {
	for t := r.ExpFloat64(); t < mean; t += r.ExpFloat64() {
		n++
	}
	return n
}

// The estimates of many simulated runs are right on average, and their errors tell by how much a
// single one may be wrong, for a load that varies much more than in most services.
func TestEstimateIsUnbiasedAndKnowsItsError(t *testing.T) {
	for _, test := range []struct {
		profiles, runs       int
		bias, within, counts float64
	}{
		{10, 200, 0.1, 0.65, 0.1}, // few profiles of such a load do not show how much it varies
		{60, 40, 0.07, 0.85, 0.1},
	} {
		sum, counted, want := map[string]float64{}, map[string]float64{}, map[string]float64{}
		within, estimates := 0, 0
		for seed := range uint64(test.runs) {
			periods, truth := simulation(rand.New(rand.NewPCG(seed, 1)), test.profiles)
			u, counters := profiler.Simulate(periods)
			for _, x := range u.Roots {
				sum[x.Root] += x.Seconds
				want[x.Root] += truth[x.Root]
				counted[x.Root] += counters[x.Root]
				estimates++
				if math.Abs(x.Seconds-truth[x.Root]) <= 2*x.Error {
					within++
				}
			}
		}
		for name := range want {
			bias, counterBias := sum[name]/want[name]-1, counted[name]/want[name]-1
			t.Logf("%d profiles, %s: bias %+.3f, of the counter %+.3f", test.profiles, name, bias, counterBias)
			if math.Abs(bias) > test.bias || math.Abs(counterBias) > test.counts {
				t.Errorf("%d profiles, %s: bias %+.3f, of the counter %+.3f", test.profiles, name, bias, counterBias)
			}
		}
		share := float64(within) / float64(estimates)
		t.Logf("%d profiles: %.0f %% of the estimates within two standard errors", test.profiles, 100*share)
		if share < test.within {
			t.Errorf("%d profiles: %.0f %% of the estimates within two standard errors", test.profiles, 100*share)
		}
	}
}

// A process with a steady load has the error of counting samples only.
func TestErrorOfSteadyLoad(t *testing.T) {
	var periods []profiler.Simulated
	for range 10 {
		periods = append(periods, profiler.Simulated{Length: 1, Total: 30, Observed: 1, Roots: map[string]int{"a": 60, "b": 40}})
	}
	u, counters := profiler.Simulate(periods)
	if a := u.Roots[0]; math.Abs(a.Seconds-180) > 1e-9 || math.Abs(a.Error-30*math.Sqrt(600*0.4)/100) > 1e-9 {
		t.Errorf("%+v", a)
	}
	if math.Abs(counters["a"]-180) > 1e-9 || math.Abs(counters["b"]-120) > 1e-9 {
		t.Errorf("%v", counters)
	}
}

// The 20 root spans with the most CPU time are named. The rest is "other", whose counter never
// decreases.
func TestRootsAreBounded(t *testing.T) {
	var periods []profiler.Simulated
	other := 0.0
	for k := range 60 {
		x := profiler.Simulated{Length: 1, Total: 30, Observed: 1, Roots: map[string]int{"late": k * k}}
		for i := range 100 {
			x.Roots[fmt.Sprintf("GET /%02d", i)] = 100 - i
		}
		if periods = append(periods, x); k%10 != 9 {
			continue
		}
		u, counters := profiler.Simulate(periods)
		if len(u.Roots) != 21 || u.Roots[20].Root != "other" || len(counters) != 21 {
			t.Fatalf("%d roots, %d counters", len(u.Roots), len(counters))
		}
		if counters["other"] < other {
			t.Fatalf("other decreases from %v to %v", other, counters["other"])
		}
		other = counters["other"]
		sum := 0.0
		for _, r := range u.Roots {
			sum += r.Seconds
		}
		if math.Abs(sum-u.Total) > 1e-6 {
			t.Fatalf("the roots have %v of %v s", sum, u.Total)
		}
		if last := k == 59; last && (u.Roots[0].Root != "late" || counters["late"] == 0) {
			t.Errorf("the root that has become the largest has no counter: %+v, %v", u.Roots[0], counters)
		}
	}
}

// Analyze publishes what the profiles show.
func TestAnalyze(t *testing.T) {
	p := newProfiler(t, profiler.Config{RootLabel: "root"})
	c, err := runtimeinfo.NewCatalogue(p.Metrics()...)
	if err != nil {
		t.Fatal(err)
	}
	values := func() map[string]float64 {
		b := runtimeinfo.NewBuilder(c, runtimeinfo.Snapshot{Time: time.Unix(1060, 0)})
		d := b.Draft()
		p.Analyze(d)
		b.Merge(d)
		all := map[string]float64{}
		for x := range b.Snapshot().Points() {
			all[x.Metric.Name+" "+strings.Join(x.Labels, " ")] = x.Number
		}
		return all
	}
	if v := values(); v["gmpulse.profiler.profiles cpu"] != 0 || v["gmpulse.profiler.missed busy"] != 0 {
		t.Errorf("before the first profile: %v", v)
	}
	p.Begin(time.Unix(1000, 0))
	if err := p.AddCPU(cpuProfile(t, sample{"main.a", root("GET /"), 75}, sample{"main.b", nil, 25}), time.Unix(1030, 0), 10*time.Second, time.Second); err != nil {
		t.Fatal(err)
	}
	v := values()
	for key, want := range map[string]float64{
		"gmpulse.span.cpu.time GET /": 0.75 * 30, "gmpulse.profiler.cpu.time span": 0.75 * 30, "gmpulse.profiler.cpu.time none": 0.25 * 30,
		"gmpulse.profiler.cpu.time runtime": 0, "gmpulse.profiler.coverage ": 0.1, "gmpulse.profiler.profiles cpu": 1,
		"gmpulse.span.cpu.error GET /": math.Sqrt(75*0.25) / 75,
	} {
		if got, ok := v[key]; !ok || math.Abs(got-want) > 1e-9 {
			t.Errorf("%s: %v, want %v", key, got, want)
		}
	}
}
