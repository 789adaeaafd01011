// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// What two instances of a service serve. Version v2 leaks and has an anomaly.
const (
	shopV1 = `target_info{service_name="shop",service_version="v1"} 1
gmpulse_goroutines 200
gmpulse_leak_suspects 0
gmpulse_anomaly{signal="gc.cpu"} 0
gmpulse_capacity_headroom_per_second 55
gmpulse_capacity_saturation_ratio 0.25
`
	shopV2 = `target_info{service_name="shop",service_version="v2"} 1
gmpulse_goroutines 1300
gmpulse_leak_suspects 1
gmpulse_goroutine_group_goroutines{wait="select",site="lib.a",verdict="leak",incident_site="shop.(*Cart).watch (cart.go:42)",incident_root_span="POST /checkout"} 1000
gmpulse_goroutine_group_goroutines{wait="chan receive",site="lib.b",verdict="stuck",incident_site="shop.(*Cart).watch (cart.go:42)",incident_root_span="POST /checkout"} 90
gmpulse_anomaly{signal="gc.cpu"} 1
gmpulse_incident_size{incident_kind="anomaly",incident_signal="gc.cpu"} 0.5
`
)

// victoriaMetrics runs VictoriaMetrics, which scrapes the quick start and the instances of the shop
// every second, and returns its address.
func victoriaMetrics(t *testing.T) (address string) {
	t.Helper()
	app := spawn(t, []string{"GMPULSE_LISTEN=127.0.0.1:0", "GMPULSE_HOST_INTERVAL=1s", "GOMEMLIMIT=1GiB"}, build(t, "./examples/quickstart"))
	mux := http.NewServeMux()
	for path, text := range map[string]string{"/v1": shopV1, "/v2": shopV2} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) })
	}
	shop := httptest.NewServer(mux)
	t.Cleanup(shop.Close)
	config := scrape("gmpulse", metrics(t, app).Host) + fmt.Sprintf(`- job_name: shop
  scrape_interval: 1s
  static_configs:
  - {targets: [%q], labels: {__metrics_path__: /v1, instance: shop-v1}}
  - {targets: [%[1]q], labels: {__metrics_path__: /v2, instance: shop-v2}}
`, shop.Listener.Addr())
	dir, address := t.TempDir(), freeAddress(t)
	file := filepath.Join(dir, "scrape.yml")
	write(t, file, config)
	spawn(t, nil, "victoria-metrics", "-promscrape.config="+file, "-storageDataPath="+filepath.Join(dir, "data"),
		"-httpListenAddr="+address, "-search.latencyOffset=1s", "-search.disableCache")
	return address
}

// receiver is an Alertmanager that keeps the alerts it receives.
type receiver struct {
	mu     sync.Mutex
	alerts map[string]string // summary and description of each, by its name and instance
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var alerts []struct{ Labels, Annotations map[string]string }
	if err := json.NewDecoder(req.Body).Decode(&alerts); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range alerts {
		r.alerts[a.Labels["alertname"]+" "+a.Labels["instance"]] = a.Annotations["summary"] + ": " + a.Annotations["description"]
	}
}

func (r *receiver) of(instance string) (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(r.alerts)) {
		if strings.HasSuffix(name, " "+instance) {
			all = append(all, name+": "+r.alerts[name])
		}
	}
	return all
}

// vmalert evaluates the rules of examples/deploy every second, writes their results to the
// VictoriaMetrics at an address, and sends the alerts to r.
func vmalert(t *testing.T, address string, r *receiver) {
	t.Helper()
	notifier := httptest.NewServer(r)
	t.Cleanup(notifier.Close)
	store := "http://" + address
	spawn(t, nil, "vmalert", "-rule="+deployDir+"/prometheus/rules.yml", "-evaluationInterval=1s", "-httpListenAddr="+freeAddress(t),
		"-datasource.url="+store, "-remoteWrite.url="+store, "-remoteWrite.flushInterval=1s", "-notifier.url="+notifier.URL)
}

// VictoriaMetrics scrapes the quick start and answers the queries of the dashboards and of the
// documentation, with the rules that vmalert evaluates. "gmpulse fleet" names the version that
// leaks, from the recorded values, and each incident is one alert.
func TestVictoriaMetricsAnswersQueries(t *testing.T) {
	t.Parallel()
	const how = "apt-get install victoria-metrics"
	need(t, "victoria-metrics", how)
	need(t, "vmalert", how)
	address := victoriaMetrics(t)
	alerts := &receiver{alerts: map[string]string{}}
	vmalert(t, address, alerts)
	last := "no answer"
	for _, q := range []string{`rate(gmpulse_process_cpu_time_seconds_total[1m])`, `gmpulse:version_leaking_instances:count{service_version="v2"}`} {
		eventually(t, q, func() bool {
			var n int
			n, last = answers(t, address, q)
			return n > 0
		}, &last)
	}
	checkDashboards(t, address)
	checkPromQL(t, address)
	checkFleet(t, address)

	var got []string
	want := []string{
		"GmpulseAnomaly shop-v2: gc.cpu is not as expected under this load: Outside their bands now: gc.cpu; the page /debug/gmpulse/ of the instance has the values and the bands.",
		"GmpulseGoroutineLeak shop-v2: 1000 goroutines leak at shop.(*Cart).watch (cart.go:42), created under POST /checkout: They neither run nor end. The evidence is on the page /debug/gmpulse/ of the instance, in its log and in the event goroutine.verdict.opened.",
	}
	eventually(t, "the alerts", func() bool {
		got = alerts.of("shop-v2")
		last = strings.Join(got, "\n")
		return len(got) >= len(want)
	}, &last)
	if !slices.Equal(got, want) {
		t.Errorf("alerts:\n%s\nwant:\n%s", last, strings.Join(want, "\n"))
	}
}

// checkDashboards runs each query of the dashboards.
func checkDashboards(t *testing.T, address string) {
	t.Helper()
	boards, err := filepath.Glob(filepath.Join(deployDir, "grafana/*.json"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, b := range boards {
		for _, q := range dashboardQueries(t, b) {
			all[q] = true
		}
	}
	var empty []string
	for _, q := range slices.Sorted(maps.Keys(all)) {
		n, problem := answers(t, address, q)
		switch {
		case problem != "":
			t.Errorf("%s: %s", q, problem)
		case n == 0 && complete(t, address, q):
			last := ""
			eventually(t, q, func() bool {
				n, last = answers(t, address, q)
				return n > 0
			}, &last)
		case n == 0:
			empty = append(empty, q) // this machine lacks one of its metrics, such as a cgroup limit
		}
	}
	t.Logf("%d queries of %d dashboards; for metrics that are absent here:\n%s", len(all), len(boards), strings.Join(empty, "\n"))
	if len(all) == 0 || len(empty) > len(all)/6 { // the queries of limits
		t.Errorf("%d of %d queries return nothing", len(empty), len(all))
	}
}

// checkPromQL runs each query of the documentation.
func checkPromQL(t *testing.T, address string) {
	t.Helper()
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range documents {
		for _, q := range blocks(documentation(t, filepath.Base(d)), "promql") {
			if _, problem := answers(t, address, q); problem != "" {
				t.Errorf("%s: %s: %s", d, q, problem)
			}
		}
	}
}

// checkFleet waits until gmpulse fleet has both versions of the shop, and checks what it reports about them.
func checkFleet(t *testing.T, address string) {
	t.Helper()
	command, last := build(t, "./cmd/gmpulse"), ""
	var report struct {
		Versions []struct {
			Version   string
			Instances int
			Leaking   int `json:"leaking_instances"`
			Leaked    int `json:"leaking_goroutines"`
			Sites     []string
		}
		Worst []struct {
			Instance, Site string
			Root           string `json:"root_span"`
			Goroutines     float64
		}
	}
	eventually(t, "gmpulse fleet", func() bool {
		out, err := exec.CommandContext(t.Context(), command, "fleet", "-prometheus", "http://"+address, "-service", "shop", "-json").Output()
		if last = fmt.Sprintf("%v %s", err, out); err != nil {
			return false
		}
		if err := json.Unmarshal(out, &report); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return len(report.Versions) == 2 && report.Versions[0].Leaking > 0 && report.Versions[0].Leaked > 0 && len(report.Worst) > 0
	}, &last)
	bad, good, worst := report.Versions[0], report.Versions[1], report.Worst[0]
	if bad.Version != "v2" || bad.Instances != 1 || bad.Leaking != 1 || bad.Leaked != 1090 || len(bad.Sites) == 0 || !strings.Contains(bad.Sites[0], "shop.(*Cart).watch (cart.go:42)") {
		t.Errorf("the version that leaks: %+v", bad)
	}
	if good.Version != "v1" || good.Instances != 1 || good.Leaking != 0 {
		t.Errorf("the version that does not: %+v", good)
	}
	if worst.Instance != "shop-v2" || worst.Site != "shop.(*Cart).watch (cart.go:42)" || worst.Root != "POST /checkout" || worst.Goroutines != 1000 {
		t.Errorf("the worst instance: %+v", worst)
	}
	out, err := exec.CommandContext(t.Context(), command, "fleet", "-prometheus", "http://"+address, "-service", "shop").CombinedOutput()
	if first, _, _ := strings.Cut(string(out), "\n"); err != nil || !strings.HasPrefix(first, "shop v2: 1 of 1 instances leak goroutines") {
		t.Errorf("%v: %s", err, out)
	}
}
