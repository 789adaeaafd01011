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

const deployDir = "../../examples/deploy"

// needJaeger skips the test if Jaeger or the broker is missing. Building them takes seven
// minutes of CPU, which only GMPULSE_E2E=full .ci/run spends. Jaeger contains each
// component of the Collector that examples/deploy uses, and so it runs those files too.
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

// jaeger runs Jaeger with configuration files and changes to them.
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

// collector runs the Collector of examples/deploy with free ports. It returns its OTLP
// endpoint.
func collector(t *testing.T, files []string, set ...string) string {
	t.Helper()
	endpoint := freeAddress(t)
	jaeger(t, files, append(set,
		"receivers.otlp.protocols.grpc.endpoint="+freeAddress(t),
		"receivers.otlp.protocols.http.endpoint="+endpoint,
		"processors.tail_sampling.decision_wait=1s", // instead of ten
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

// query returns the settings for a Jaeger query service with free ports, and its address.
func query(t *testing.T) (address string, set []string) {
	t.Helper()
	address = freeAddress(t)
	return "http://" + address, []string{
		"extensions.healthcheckv2.http.endpoint=" + freeAddress(t),
		"extensions.jaeger_query.http.endpoint=" + address,
		"extensions.jaeger_query.grpc.endpoint=" + freeAddress(t),
	}
}

// runApp runs the quick start long enough for a span of GET /report.
func runApp(t *testing.T, endpoint string) {
	t.Helper()
	spawn(t, []string{
		"GMPULSE_LISTEN=off", "OTEL_SERVICE_NAME=quickstart", "OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint,
	}, build(t, "./examples/quickstart"), "-rate=50", "-for=6s").wait(t)
}

// awaitReport waits until Jaeger has a span of GET /report with the attributes that
// tracectx adds.
func awaitReport(t *testing.T, address string) {
	t.Helper()
	last := "no answer"
	eventually(t, "Jaeger has an enriched report", func() bool {
		var code int
		code, last = get(t, address+"/api/traces?service=quickstart&operation="+url.QueryEscape("GET /report"))
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

// With the files for one machine, the app's spans reach Jaeger through the Collector.
func TestDeployDeliversSpansToJaeger(t *testing.T) {
	t.Parallel()
	needJaeger(t)
	address, set := query(t)
	otlp := freeAddress(t)
	jaeger(t, []string{deployDir + "/jaeger/memory.yaml"}, append(set, "receivers.otlp.protocols.grpc.endpoint="+otlp)...)
	runApp(t, collector(t, []string{deployDir + "/collector/collector.yaml"}, "exporters.otlp/jaeger.endpoint="+otlp))
	awaitReport(t, address)
}

// With the files for scale, the Collector writes to Kafka, from which an ingester that
// starts later reads into the store of the query service. A gRPC store replaces Cassandra.
func TestDeployAtScaleDeliversSpansToJaeger(t *testing.T) {
	t.Parallel()
	needJaeger(t)
	broker := spawn(t, nil, "kafka", "-topic=jaeger-spans").after(t, "kafka")
	runApp(t, collector(t, []string{deployDir + "/collector/collector.yaml", deployDir + "/collector/scale.yaml"}, "exporters.kafka.brokers="+broker))

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
	awaitReport(t, address)
}

// withoutCassandra writes a copy of a file that uses another store and returns its name.
func withoutCassandra(t *testing.T, dir, name, storage string) string {
	t.Helper()
	whole, err := os.ReadFile(filepath.Join(deployDir, "jaeger", name))
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

// Cassandra is not available to tests. With unchanged files Jaeger fails only because
// nothing listens at its address.
func TestJaegerConfigFailsOnlyForCassandra(t *testing.T) {
	t.Parallel()
	needJaeger(t)
	for _, name := range []string{"ingester.yaml", "query.yaml"} {
		p := jaeger(t, []string{filepath.Join(deployDir, "jaeger", name)},
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
