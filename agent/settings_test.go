// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/gmpulse/gmpulse/agent"
)

var update = flag.Bool("update", false, "write the generated files anew")

// listenerLimits is what docs/configuration.md says of the agent's own listener.
const listenerLimits = `
## The agent's own listener

It keeps at most 192 connections, each of which takes a file descriptor of the service. When there are more, the one that has
waited longest is closed: one that has sent no request, or none that may be answered. Clients that are refused are
disconnected after the answer, and connections without a request after 35 s. A request has 5 s for its header of at most 32 KB.
Answers are made in memory and then sent; a client that accepts nothing for 10 s is disconnected. At most 16 MB of
the page and 4 MB of /metrics wait for slow clients: when others need the room, the answer that takes longest gives way, if it
takes more than 3 s, and requests beyond that are answered 503 with Retry-After. These two bounds hold for Agent.Handler in a
server of your own too; connections and header are up to that server: set its timeouts.

## Where Agent.Handler answers

In a server of your own the handler asks for the token of GMPULSE_TOKEN. Without a token it answers requests from the loopback
address, for localhost, that no proxy has forwarded; what GMPULSE_OPEN names it answers to everybody, and with GMPULSE_INSECURE=on
everything. The first request that it refuses is a warning in the log.
`

// The reference of the environment is generated from the table in the code.
func TestConfigurationReference(t *testing.T) {
	const file = "../docs/configuration.md"
	var b bytes.Buffer
	b.WriteString("# Configuration\n\n" +
		"Generated from `agent.Variables` by `go test ./agent -update`. Each variable has an option of the same meaning\n" +
		"in package `agent`. Options overrule `GMPULSE_*`, which overrule `OTEL_*`, which overrule defaults. An empty\n" +
		"variable counts as unset.\n\n" +
		"A value that is not of the accepted form is named with its variable and that form. What happens then is in the last\n" +
		"column. A *warning* is a line in the log: the value is ignored, the default holds, and everything else runs. An *error*\n" +
		"is one of `Start`, which joins everything that is wrong: the variables that say where to listen, whom to admit and where\n" +
		"records go, because a default would open a port to the wrong people, or lose data.\n\n" +
		"| variable | accepted form | default | meaning | if wrong |\n| --- | --- | --- | --- | --- |\n")
	for _, v := range agent.Variables() {
		wrong := "error"
		if v.Optional {
			wrong = "warning"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", v.Name, v.Form, v.Default, v.Help, wrong)
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
		t.Errorf("%s is not what the code says: go test ./agent -update", file)
	}
}
