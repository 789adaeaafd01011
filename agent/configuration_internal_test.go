// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the generated files")

// sections are the part of docs/configuration.md below the table.
const sections = `
## Which metrics does /metrics serve?

By default /metrics has the metrics that [metrics.md](metrics.md) marks in the column "Default": at most 150 series of a process
without spans. Each exporter that you add has about a dozen more, because each reason for a drop is a series. GMPULSE_METRICS chooses others. Its entries apply from left to right:

| entry | meaning |
| --- | --- |
| default, all | the default set, every metric |
| scheduler, memory, gc, cpu, process, container, system, spans, leaks, capacity, baselines, profiles, agent, user | a subsystem; user is the gauges of the application |
| go.cpu.time, gmpulse.exporter.* | a metric by its name in metrics.md, or a pattern |
| -system | removes what the entry matches |

If the first entry removes metrics, the list begins with the default set. For example, default,gmpulse.expected adds the bands of the
baselines, -baselines,-container leaves out two subsystems, and scheduler,gc,user is three subsystems. The agent logs an entry that is
malformed or matches no metric, with the most similar name. In code, agent.WithMetrics has the same entries, and
[exporters.NewSelection](../exporters/selection.go) makes the selection for an exporter that you construct yourself. The live page and
evidence have every metric.

The families of client_golang, such as go_goroutines and process_resident_memory_bytes, have much of the same under other names.
GMPULSE_GO_COLLECTORS=on adds them, 45 series, for dashboards that query them.

## The agent's own listener
## The agent's own listener

The listener keeps at most 192 connections. If the process may open fewer than 768 files (ulimit -n), it keeps a quarter of that
number, but at least 24. Each takes a file descriptor of the service. At most two thirds of them may be viewers of the page. When a
client opens one more, the listener closes the connection that has waited longest without an accepted request. It disconnects clients that it refuses after the answer, and
connections without a request after 35 s. A client must send the header of a request, at most 32 KB, within 5 s.

The agent builds an answer in memory and then sends it. It disconnects a client that accepts nothing for 10 s. At most 16 MB of the page and
4 MB of /metrics wait for slow clients. When other clients need this memory, the agent drops the answer that takes longest, if it takes
more than 3 s, and answers further requests 503 with Retry-After. These two limits also apply to Agent.Handler in your own server. Your
server limits its connections and headers itself: set its timeouts.

## Access to Agent.Handler

In your own server the handler requires the token of GMPULSE_TOKEN. If no token is set, it answers only requests from the loopback address,
for localhost, that no proxy has forwarded: set a token if a proxy on the same machine passes this path on. The agent recognizes a proxy by
its headers (Forwarded, X-Forwarded-For, X-Forwarded-Host, X-Real-IP, Via) or by HTTP/1.0, not one that uses HTTP/1.1, adds no header and
replaces the Host. It answers the routes that GMPULSE_OPEN names to every client, and with GMPULSE_INSECURE=on it
answers all routes to every client. The agent logs a warning for the first request that it refuses.
`

// docs/configuration.md is generated from the table of variables.
func TestConfigurationReference(t *testing.T) {
	const file = "../docs/configuration.md"
	var b bytes.Buffer
	b.WriteString("# Which environment variables does the agent read?\n\n" +
		"`go test ./agent -update` generates this file from the table in agent/environment.go. Each variable has an option of\n" +
		"the same meaning in package `agent`. Options override `GMPULSE_*`, which override `OTEL_*`, which override defaults. An empty\n" +
		"variable counts as unset.\n\n" +
		"The last column describes what happens if a value is malformed. For a *warning*, the agent logs the variable and\n" +
		"the accepted form, ignores the value, and uses the default. An *error* is part of the error that `Start` returns;\n" +
		"`Start` joins all errors. Variables for addresses, access and the destination of records are errors, because a default would\n" +
		"open a port to the wrong clients or lose data.\n\n" +
		"| variable | accepted form | default | meaning | if malformed |\n| --- | --- | --- | --- | --- |\n")
	for _, v := range variables() {
		malformed := "error"
		if v.optional {
			malformed = "warning"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", v.name, v.form, v.defaultText, v.help, malformed)
	}
	b.WriteString(sections)
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, b.Bytes()) {
		t.Errorf("%s is out of date: run go test ./agent -update", file)
	}
}
