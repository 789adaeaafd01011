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

// The reference of the environment is generated from the table in the code.
func TestConfigurationReference(t *testing.T) {
	const file = "../docs/configuration.md"
	var b bytes.Buffer
	b.WriteString("# Configuration\n\n" +
		"Generated from `agent.Variables` by `go test ./agent -update`. Each variable has an option of the same meaning\n" +
		"in package `agent`. Options overrule `GMPULSE_*`, which overrule `OTEL_*`, which overrule defaults. An empty\n" +
		"variable counts as unset; junk is an error of `Start` that names variable, value and accepted form.\n\n" +
		"| variable | accepted form | default | meaning |\n| --- | --- | --- | --- |\n")
	for _, v := range agent.Variables() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", v.Name, v.Form, v.Default, v.Help)
	}
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
