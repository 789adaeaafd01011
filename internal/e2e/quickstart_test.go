// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/testutil"
)

// The quick start prints its addresses, a line every second, and a table at the end.
func TestQuickstartPrintsASummary(t *testing.T) {
	t.Parallel()
	p := spawn(t, []string{"GMPULSE_LISTEN=127.0.0.1:0"}, build(t, "./examples/quickstart"), "-for", "4s")
	address := p.after(t, "health")
	if code, body := get(t, address); code != http.StatusOK || !strings.Contains(body, `"ok"`) && !strings.Contains(body, `"starting"`) {
		t.Errorf("%s answers %d: %s", address, code, body)
	}
	p.wait(t)
	out := p.output()
	if n := len(regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d .*requests/s [1-9]`).FindAllString(out, -1)); n < 2 || n > 4 {
		t.Errorf("%d lines of summary in 4 s", n)
	}
	for _, want := range []string{"least", "prometheus", "requests answered, 0 failed"} {
		if !strings.Contains(out, want) {
			t.Errorf("the final table lacks %q", want)
		}
	}
	bad := spawn(t, nil, p.cmd.Path, "-rate", "0")
	<-bad.done
	if code := bad.cmd.ProcessState.ExitCode(); code != 2 {
		t.Errorf("bad flags exit with %d", code)
	}
}

// Prometheus scrapes the quick start and evaluates queries about it.
func TestPrometheusScrapesTheQuickstart(t *testing.T) {
	t.Parallel()
	needPrometheus(t)
	app := spawn(t, []string{"GMPULSE_LISTEN=127.0.0.1:0", "GMPULSE_GO_COLLECTORS=on"}, build(t, "./examples/quickstart"))
	address := prometheus(t, t.TempDir(), scrape("quickstart", metrics(t, app).Host))
	for _, q := range []struct {
		query string
		ok    func(v float64) bool
	}{
		{`up{job="quickstart"}`, func(v float64) bool { return v == 1 }},
		{`gmpulse_goroutine_user`, func(v float64) bool { return v > 5 && v < 5000 }},
		{`sum(gmpulse_scheduler_goroutines)`, func(v float64) bool { return v > 5 && v < 5000 }},
		{`rate(gmpulse_root_spans_started_total[10s])`, func(v float64) bool { return v > 50 && v < 2000 }},
		{`histogram_quantile(0.99, rate(gmpulse_schedule_duration_seconds_bucket[10s]))`, func(v float64) bool { return v > 0 && v < 10 }},
		{`gmpulse_pulse_runnable_per_processor_max`, func(v float64) bool { return v >= 0 }},
		{`gmpulse_shop_queue_depth`, func(v float64) bool { return v >= 0 }},
		{`go_goroutines`, func(v float64) bool { return v > 5 }},
		{`go_memstats_heap_inuse_bytes`, func(v float64) bool { return v > 1e5 }},
		{`sum(scrape_samples_scraped{job="quickstart"})`, func(v float64) bool { return v > 100 && v < 230 }},
	} {
		last := "no answer"
		eventually(t, q.query, func() bool {
			v, err := ask(t, address, q.query)
			if err != nil {
				last = err.Error()
				return false
			}
			last = strconv.FormatFloat(v, 'g', -1, 64)
			return q.ok(v)
		}, &last)
		t.Logf("%s = %s", q.query, last)
	}
	if runtime.GOOS != "windows" {
		app.interrupt(t)
	}
}

// Prometheus of examples/deploy sends the app's token. The app rejects another one.
func TestDeployPrometheusSendsTheToken(t *testing.T) {
	t.Parallel()
	needPrometheus(t)
	app := spawn(t, []string{"GMPULSE_LISTEN=127.0.0.1:0", "GMPULSE_TOKEN=0123456789abcdef"}, build(t, "./examples/quickstart"))
	target := metrics(t, app)
	if code, _ := get(t, target.String()); code != http.StatusUnauthorized {
		t.Errorf("without a token: %d", code)
	}
	config, err := os.ReadFile(deployDir + "/prometheus/compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	here := strings.NewReplacer("app:9464", target.Host, "15s", "1s", "rules.yml", "none.yml").Replace(string(config))
	for token, up := range map[string]float64{"0123456789abcdef": 1, "fedcba9876543210": 0} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "gmpulse.token"), token+"\n")
		address := prometheus(t, dir, here)
		last := "no answer"
		eventually(t, "up is "+fmt.Sprint(up), func() bool {
			v, err := ask(t, address, `up{job="gmpulse"}`)
			last = fmt.Sprint(v, err)
			return err == nil && v == up
		}, &last)
	}
}

// A Forward server receives every record that the agent counts as delivered.
func TestForwardServerReceivesDeliveredRecords(t *testing.T) {
	t.Parallel()
	needForwardServer(t)
	const server = "../peers/npm"
	received := filepath.Join(t.TempDir(), "received.ndjson")
	peer := spawn(t, []string{"PORT=0", "OUT=" + received, "STOP_WITH_STDIN=1"}, "node", filepath.Join(server, "server.js"))
	var listening struct{ Listening int }
	if err := json.Unmarshal([]byte(`{"listening"`+peer.after(t, `{"listening"`)), &listening); err != nil {
		t.Fatal(err)
	}
	app := spawn(t, []string{
		"GMPULSE_LISTEN=off",
		"GMPULSE_INTERVAL=50ms",
		fmt.Sprintf("GMPULSE_FLUENTD=tcp://127.0.0.1:%d", listening.Listening),
		"GMPULSE_FLUENTD_INTERVAL=50ms",
		"OTEL_SERVICE_NAME=e2e",
	}, build(t, "./examples/quickstart"), "-for", "5s")
	app.wait(t)

	fields := strings.Fields(regexp.MustCompile(`(?m)^ *fluentd +\d+ +\d+ +\d+`).FindString(app.output()))
	if len(fields) != 4 {
		t.Fatal("the final table has no line for fluentd")
	}
	delivered, err := strconv.Atoi(fields[2])
	if err != nil {
		t.Fatal(err)
	}
	seqs := sequence(t, received, "gmpulse.e2e.runtime")
	unique := slices.Compact(slices.Sorted(slices.Values(seqs)))
	t.Logf("accepted %s, delivered %d, dropped %s; received %d, %d unique", fields[1], delivered, fields[3], len(seqs), len(unique))
	if len(unique) != delivered || delivered < 40 {
		t.Errorf("received %d unique records, the agent delivered %d in 5 s at 50 ms", len(unique), delivered)
	}
}

// needForwardServer skips the test if the npm server is missing. In CI it fails the test.
func needForwardServer(t *testing.T) {
	t.Helper()
	need(t, "node", "apt-get install nodejs")
	if _, err := os.Stat("../peers/npm/node_modules"); err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("the server is missing: npm ci --prefix internal/peers/npm")
	}
	t.Skip("the server is missing: npm ci --prefix internal/peers/npm")
}

// sequence returns the sequence numbers that arrived with a tag. It checks that the times
// of the records have fractions of a second.
func sequence(t *testing.T, file, tag string) (seqs []int) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	fractions := 0
	for line := range strings.Lines(string(data)) {
		var r struct {
			Tag, Time string
			Seq       json.Number
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if r.Tag != tag {
			t.Errorf("tag %q, want %q", r.Tag, tag)
		}
		n, err := strconv.Atoi(strings.Trim(r.Seq.String(), `"`))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(r.Time, "000000000") {
			fractions++
		}
		seqs = append(seqs, n)
	}
	if fractions < len(seqs)/2 {
		t.Errorf("only %d of %d times have fractions of a second", fractions, len(seqs))
	}
	return seqs
}

func get(t *testing.T, address string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

// ask returns the value of a PromQL query that has exactly one.
func ask(t *testing.T, address, query string) (float64, error) {
	t.Helper()
	code, body := get(t, "http://"+address+"/api/v1/query?query="+url.QueryEscape(query))
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return 0, fmt.Errorf("%d: %s", code, body)
	}
	if len(answer.Data.Result) != 1 {
		return 0, fmt.Errorf("%d values: %s", len(answer.Data.Result), body)
	}
	s, _ := answer.Data.Result[0].Value[1].(string)
	return strconv.ParseFloat(s, 64)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// eventually waits until ok returns true. If it does not, the test fails with the last
// answer of the server.
func eventually(t *testing.T, what string, ok func() bool, last *string) {
	t.Helper()
	testutil.Retry(t, func() error {
		if !ok() {
			return fmt.Errorf("%s: last answer %s", what, *last)
		}
		return nil
	})
}
