// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// The configuration is valid, and its matchers name alerts that exist.
func TestAlertmanagerConfig(t *testing.T) {
	text := read(t, "alertmanager/alertmanager.yml")
	rules := read(t, "prometheus/rules.yml") + read(t, "../../exporters/alertmanager/alert.go")
	names := regexp.MustCompile(`\bGmpulse\w+`).FindAllString(text, -1)
	for _, name := range names {
		if strings.Count(rules, name) < 2 {
			t.Errorf("%s is not an alert of both the rules and the exporter", name)
		}
	}
	if len(names) < 3 {
		t.Errorf("the configuration names %q", names)
	}
	if _, err := exec.LookPath("amtool"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("amtool is missing: apt-get install prometheus-alertmanager")
		}
		t.Skip("amtool is missing: apt-get install prometheus-alertmanager")
	}
	if out, err := exec.CommandContext(t.Context(), "amtool", "check-config", "alertmanager/alertmanager.yml").CombinedOutput(); err != nil {
		t.Errorf("amtool: %v\n%s", err, out)
	}
}
