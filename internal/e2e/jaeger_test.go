// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const kit = "../../examples/deploy"

// needJaeger skips without Jaeger and the broker, which take seven minutes of CPU to
// build: only GMPULSE_E2E=full .ci/run does so. Jaeger has each part of the Collector
// that the kit uses, and runs its files too.
func needJaeger(t *testing.T) {
	t.Helper()
	for _, c := range []struct{ program, how string }{
		{"jaeger", "GOWORK=off go -C internal/peers/jaeger build -o /usr/local/bin/ github.com/jaegertracing/jaeger/cmd/jaeger"},
		{"kafka", "GOWORK=off go -C internal/peers/jaeger build -o /usr/local/bin/ ./kafka"},
	} {
		if os.Getenv("GMPULSE_E2E") == "full" {
			need(t, c.program, c.how)
		} else if _, err := exec.LookPath(c.program); err != nil {
			t.Skipf("%s is missing: %s", c.program, c.how)
		}
	}
}

// jaeger runs it with files of the kit; set has what is different here.
func jaeger(t *testing.T, files []string, set ...string) *process {
	t.Helper()
	set = append(set, "service.telemetry.metrics.level=none")
	var args []string
	for _, f := range files {
		args = append(args, "--config="+f)
	}
	for _, s := range set {
		args = append(args, "--set="+s)
	}
	return spawn(t, nil, "jaeger", args...)
}

// collector is the kit's, with what it needs to listen on this machine. It returns
// where it takes spans.
func collector(t *testing.T, files []string, set ...string) string {
	t.Helper()
	endpoint := freeAddress(t)
	jaeger(t, files, append(set,
		"receivers.otlp.protocols.grpc.endpoint="+freeAddress(t),
		"receivers.otlp.protocols.http.endpoint="+endpoint,
		"processors.tail_sampling.decision_wait=1s", // ten are long for a test
	)...)
	last := ""
	eventually(t, "the Collector listens", func() bool {
		c, err := net.DialTimeout("tcp", endpoint, time.Second)
		if err != nil {
			last = err.Error()
			return false
		}
		_ = c.Close() // nothing was written
		return true
	}, &last)
	return "http://" + endpoint
}

// query has what the half of Jaeger that answers needs to listen on this machine.
func query(t *testing.T) (address string, set []string) {
	t.Helper()
	address = freeAddress(t)
	return "http://" + address, []string{
		"extensions.healthcheckv2.http.endpoint=" + freeAddress(t),
		"extensions.jaeger_query.http.endpoint=" + address,
		"extensions.jaeger_query.grpc.endpoint=" + freeAddress(t),
	}
}

// sell runs the app of the kit for a while, long enough for a report.
func sell(t *testing.T, endpoint string) {
	t.Helper()
	spawn(t, []string{
		"GMPULSE_LISTEN=off", "OTEL_SERVICE_NAME=shop", "OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint,
	}, build(t, "./examples/quickstart"), "-rate=50", "-for=6s").wait(t)
}

// reported waits until Jaeger answers with a report that says what the process went
// through meanwhile.
func reported(t *testing.T, address string) {
	t.Helper()
	last := "no answer"
	eventually(t, "Jaeger has an enriched report", func() bool {
		var code int
		code, last = get(t, address+"/api/traces?service=shop&operation="+url.QueryEscape("GET /report"))
		var answer struct {
			Data []struct {
				Spans []struct {
					OperationName string
					Tags          []struct{ Key string }
				}
			}
		}
		if err := json.Unmarshal([]byte(last), &answer); code != http.StatusOK || err != nil || len(answer.Data) == 0 {
			return false
		}
		for _, tag := range answer.Data[0].Spans[0].Tags {
			if tag.Key == "gmpulse.process.during.ticks" {
				return true
			}
		}
		return false
	}, &last)
}

// The kit on one machine: the app's spans through the Collector's file into Jaeger.
func TestKitJaeger(t *testing.T) {
	t.Parallel()
	needJaeger(t)
	address, set := query(t)
	otlp := freeAddress(t)
	jaeger(t, []string{kit + "/jaeger/memory.yaml"}, append(set, "receivers.otlp.protocols.grpc.endpoint="+otlp)...)
	sell(t, collector(t, []string{kit + "/collector/collector.yaml"}, "exporters.otlp/jaeger.endpoint="+otlp))
	reported(t, address)
}

// The kit at scale: the Collector fills Kafka while no ingester is there; one comes
// and empties it into the store that the other half of Jaeger reads. The store
// stands in for Cassandra.
func TestKitJaegerAtScale(t *testing.T) {
	t.Parallel()
	needJaeger(t)
	broker := spawn(t, nil, "kafka", "-topic=jaeger-spans").after(t, "kafka")
	sell(t, collector(t, []string{kit + "/collector/collector.yaml", kit + "/collector/scale.yaml"}, "exporters.kafka.brokers="+broker))

	storage := freeAddress(t)
	dir := t.TempDir()
	store := filepath.Join(dir, "store.yaml")
	write(t, store, `
service:
  extensions: [jaeger_storage, remote_storage]
  pipelines: {traces: {receivers: [nop], exporters: [nop]}}
extensions:
  jaeger_storage: {backends: {spans: {memory: {max_traces: 10000}}}}
  remote_storage: {endpoint: "`+storage+`", storage: spans}
receivers: {nop: }
exporters: {nop: }
`)
	jaeger(t, []string{store})
	jaeger(t, []string{withoutCassandra(t, dir, "ingester.yaml", storage)},
		"receivers.kafka.brokers="+broker, "extensions.healthcheckv2.http.endpoint="+freeAddress(t))
	address, set := query(t)
	jaeger(t, []string{withoutCassandra(t, dir, "query.yaml", storage)}, set...)
	reported(t, address)
}

// withoutCassandra writes a copy of a file that has another store in its place.
func withoutCassandra(t *testing.T, dir, name, storage string) string {
	t.Helper()
	whole, err := os.ReadFile(filepath.Join(kit, "jaeger", name))
	if err != nil {
		t.Fatal(err)
	}
	cassandra := regexp.MustCompile(`(?m)^        cassandra:\n(?:          .*\n)+`)
	if !cassandra.Match(whole) {
		t.Fatalf("%s has no section for Cassandra", name)
	}
	file := filepath.Join(dir, name)
	write(t, file, cassandra.ReplaceAllString(string(whole), "        grpc:\n          endpoint: "+storage+"\n          tls: {insecure: true}\n"))
	return file
}

// What cannot be run is Cassandra: with the files as they are, Jaeger fails for
// nothing but that nobody listens there.
func TestKitJaegerWantsCassandra(t *testing.T) {
	t.Parallel()
	needJaeger(t)
	for _, name := range []string{"ingester.yaml", "query.yaml"} {
		p := jaeger(t, []string{filepath.Join(kit, "jaeger", name)},
			`extensions.jaeger_storage.backends.spans.cassandra.connection.servers=["127.0.0.1:1"]`)
		<-p.done
		if out := p.output(); !strings.Contains(out, "unable to connect to initial hosts: dial tcp 127.0.0.1:1: connect: connection refused") {
			t.Errorf("%s: %s", name, out)
		}
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
