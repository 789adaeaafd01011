// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/url"
	"path/filepath"
	"testing"
)

func needPrometheus(t *testing.T) {
	t.Helper()
	need(t, "prometheus", "apt-get install prometheus")
}

// prometheus runs Prometheus with a configuration, whose relative paths refer to dir, and
// returns its address.
func prometheus(t *testing.T, dir, config string, flags ...string) (address string) {
	t.Helper()
	file := filepath.Join(dir, "prometheus.yml")
	write(t, file, config)
	address = freeAddress(t)
	spawn(t, nil, "prometheus", append(flags, "--config.file="+file,
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)...)
	return address
}

// scrape configures one job that scrapes a target every second.
func scrape(job, target string) string {
	return fmt.Sprintf("scrape_configs:\n- job_name: %s\n  scrape_interval: 1s\n  static_configs:\n  - targets: [%q]\n", job, target)
}

// metrics returns the address at which the quick start serves /metrics.
func metrics(t *testing.T, app *process) *url.URL {
	t.Helper()
	u, err := url.Parse(app.after(t, "metrics"))
	if err != nil {
		t.Fatal(err)
	}
	return u
}
