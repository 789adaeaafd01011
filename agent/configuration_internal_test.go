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

// listenerLimits is the part of docs/configuration.md about the agent's server.
const listenerLimits = `
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
for localhost, that no proxy has forwarded. It answers the routes that GMPULSE_OPEN names to every client, and with GMPULSE_INSECURE=on it
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
	b.WriteString(listenerLimits)
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
