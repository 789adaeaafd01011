// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/exporters/fluentd"
	"github.com/gmpulse/gmpulse/internal/peers/forward"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// needFull skips the test if a program is missing that only GMPULSE_E2E=full .ci/run builds.
func needFull(t *testing.T, program, how string) {
	t.Helper()
	if os.Getenv("GMPULSE_E2E") == "full" {
		need(t, program, how)
	} else if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is missing: %s", program, how)
	}
}

// victoriaLogs runs VictoriaLogs and returns its address.
func victoriaLogs(t *testing.T) string {
	t.Helper()
	needFull(t, "victoria-logs", "GOWORK=off go -C internal/peers/victorialogs build -o /usr/local/bin/ github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs")
	address := freeAddress(t)
	spawn(t, nil, "victoria-logs", "-storageDataPath="+t.TempDir(), "-httpListenAddr="+address)
	last := ""
	eventually(t, "VictoriaLogs answers", func() bool {
		var code int
		code, last = get(t, "http://"+address+"/health")
		return code == http.StatusOK
	}, &last)
	return "http://" + address
}

// sendRecords sends a snapshot and an event of the service checkout to a Forward server, each
// twice, as after a lost acknowledgement.
func sendRecords(t *testing.T, server string) {
	t.Helper()
	exp, err := fluentd.New(fluentd.Config{URL: server, Service: "checkout", AckTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = exp.Shutdown(t.Context()) }() // it has sent everything
	s := exporttest.Snapshot()
	s.Time = time.Now()
	s.Resource = []runtimeinfo.Attr{{Key: "service.name", Value: "checkout"}, {Key: "service.instance.id", Value: "i-1"}}
	ev := exporttest.Event()
	ev.Name, ev.Severity, ev.Time, ev.Message = "goroutine.verdict.opened", slog.LevelWarn, s.Time, "1000 goroutines leak at main.go:87"
	s = s.WithEvents([]runtimeinfo.Event{ev})
	for range 2 {
		if err := exp.Export(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
}

// setting returns the value of a setting in a file of examples/deploy.
func setting(t *testing.T, file, pattern string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(deployDir, file))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^\s*` + pattern + `\s*$`).FindSubmatch(b)
	if m == nil {
		t.Fatalf("%s has no %s", file, pattern)
	}
	return string(m[1])
}

// VictoriaLogs accepts the bulk requests with the index, the id and the operation that the files
// for Fluentd and Fluent Bit configure, and answers the queries of the documentation. Fluentd and
// Fluent Bit themselves are not available to tests: this test adds the fields that their filters
// add.
func TestVictoriaLogsReceivesBulkRequests(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]struct{ file, index, id, operation string }{
		"Fluentd":    {"fluentd/fluent.conf", `index_name (\S+)`, `id_key (\S+)`, `write_operation (\S+)`},
		"Fluent Bit": {"fluent-bit/fluent-bit.yaml", `index: (\S+)`, `id_key: (\S+)`, `write_operation: (\S+)`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := victoriaLogs(t)
			p := forward.New(t, forward.Ack)
			sendRecords(t, p.URL())
			index, id, operation := setting(t, file.file, file.index), setting(t, file.file, file.id), setting(t, file.file, file.operation)
			var bulk, plain bytes.Buffer
			for _, e := range p.Received() {
				e.Record["@timestamp"] = e.Time.UTC().Format("2006-01-02T15:04:05.000Z")
				e.Record["record"] = e.Tag[strings.LastIndex(e.Tag, ".")+1:]
				line(t, &bulk, map[string]any{operation: map[string]any{"_index": index, "_id": e.Record[id]}})
				line(t, &bulk, e.Record)
				line(t, &plain, e.Record)
			}
			post(t, store+"/insert/elasticsearch/_bulk", &bulk)
			checkQueries(t, store, "record")

			// Fluent Bit's output for JSON lines, in another store.
			if name == "Fluent Bit" {
				uri := regexp.MustCompile(`uri: (\S+)`).FindStringSubmatch(documentation(t, "delivery.md"))
				if uri == nil {
					t.Fatal("the documentation has no uri for Fluent Bit")
				}
				store = victoriaLogs(t)
				post(t, store+uri[1], &plain)
				checkQueries(t, store, "record")
			}
		})
	}
}

func line(t *testing.T, b *bytes.Buffer, v any) {
	t.Helper()
	if err := json.NewEncoder(b).Encode(v); err != nil {
		t.Fatal(err)
	}
}

// post sends records, for the bulk API with the headers that the documentation gives.
func post(t *testing.T, address string, body *bytes.Buffer) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	if strings.HasSuffix(address, "_bulk") {
		for _, h := range regexp.MustCompile(`"(VL-[A-Za-z-]+)": "(\S+)"`).FindAllStringSubmatch(documentation(t, "delivery.md"), -1) {
			req.Header.Set(h[1], h[2])
		}
		if len(req.Header) != 4 {
			t.Fatalf("the documentation gives the headers %v", req.Header)
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || bytes.Contains(answer, []byte(`"errors":true`)) {
		t.Fatalf("%s: %v, %s", resp.Status, err, answer)
	}
}

// With the file of examples/deploy, the Collector delivers the records to VictoriaLogs, which
// starts later. The queue on disk keeps them meanwhile, over a SIGKILL of the Collector.
func TestDeployCollectorDeliversLogsToVictoriaLogs(t *testing.T) {
	t.Parallel()
	needFull(t, "otelcol", "GOWORK=off go -C internal/peers/otelcol build -o /usr/local/bin/ .")
	needFull(t, "victoria-logs", "see TestVictoriaLogsReceivesBulkRequests")
	endpoint, queue := freeAddress(t), t.TempDir()
	start := func(store string) *process {
		p := spawn(t, nil, "otelcol", "--config="+deployDir+"/collector/logs.yaml",
			"--set=service.telemetry.metrics.level=none",
			"--set=extensions.file_storage.directory="+queue,
			"--set=receivers.fluentforward.endpoint="+endpoint,
			"--set=exporters.otlphttp/victorialogs.logs_endpoint="+store+"/insert/opentelemetry/v1/logs")
		last := ""
		eventually(t, "the Collector listens", func() bool {
			last = p.output()
			return strings.Contains(last, "Everything is ready")
		}, &last)
		return p
	}
	first := start("http://127.0.0.1:1") // no store
	sendRecords(t, "tcp://"+endpoint)
	_ = first.cmd.Process.Kill()
	<-first.done
	store := victoriaLogs(t)
	start(store)
	checkQueries(t, store, "fluent.tag")
}

// checkQueries waits until the store has the records of sendRecords, and runs each query of the
// documentation, all of which these records answer. kind is the field that distinguishes
// snapshots from events.
func checkQueries(t *testing.T, store, kind string) {
	t.Helper()
	last := ""
	eventually(t, "all records arrived", func() bool {
		var rows []map[string]string
		rows, last = logs(t, store, "* | stats by ("+kind+") count() records, count_uniq(id) ids")
		return len(rows) == 2 && rows[0]["records"] == "2" && rows[0]["ids"] == "1" && rows[1]["records"] == "2" && rows[1]["ids"] == "1"
	}, &last)
	queries := blocks(documentation(t, "delivery.md"), "logsql")
	if len(queries) < 4 {
		t.Fatalf("%d queries in the documentation", len(queries))
	}
	for _, q := range queries {
		if rows, answer := logs(t, store, q); len(rows) == 0 {
			t.Errorf("%s returns nothing: %s", q, answer)
		}
	}
	rows, answer := logs(t, store, `event.name:="goroutine.verdict.opened" severity:=WARN _msg:leak | uniq by (id)`)
	if len(rows) != 1 {
		t.Errorf("the event: %s", answer)
	}
}

// logs returns the rows of a LogsQL query, and the answer.
func logs(t *testing.T, store, query string) (rows []map[string]string, answer string) {
	t.Helper()
	code, body := get(t, store+"/select/logsql/query?query="+url.QueryEscape(query))
	for line := range strings.Lines(body) {
		var row map[string]string
		if err := json.Unmarshal([]byte(line), &row); err != nil || code != http.StatusOK {
			return nil, fmt.Sprint(code, " ", body)
		}
		rows = append(rows, row)
	}
	return rows, body
}

func documentation(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// blocks returns the lines of the code blocks of a language without their comments.
func blocks(text, language string) (lines []string) {
	for _, b := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(b[1]) {
			if line, _, _ = strings.Cut(line, "#"); strings.TrimSpace(line) != "" {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
	}
	return lines
}
