// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"regexp"
	"strconv"
	"testing"
)

// A snapshot of the quick start takes the space in a spool that docs/delivery.md states, in both
// languages, and the times that it states follow from it.
func TestSpoolHoldsWhatTheDocumentsState(t *testing.T) {
	t.Parallel()
	app := spawn(t, []string{
		"GMPULSE_LISTEN=127.0.0.1:0", "GMPULSE_INTERVAL=100ms", "GMPULSE_FLUENTD_INTERVAL=1s", // ten ticks each, as by default
		"GMPULSE_FLUENTD=tcp://127.0.0.1:1", "GMPULSE_METRICS=default,gmpulse.exporter.*",
	}, build(t, "./examples/quickstart"))
	address := metrics(t, app).String()
	value := func(page, series string) float64 {
		m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(page)
		if m == nil {
			return 0
		}
		v, _ := strconv.ParseFloat(m[1], 64)
		return v
	}
	var each float64
	eventually(t, "twelve records wait", func() bool {
		_, page := get(t, address)
		n := value(page, `gmpulse_exporter_pending{exporter="fluentd",record="snapshot"}`)
		if n < 12 {
			return false
		}
		each = value(page, `gmpulse_spool_size_bytes{exporter="fluentd"}`) / n
		return true
	}, new(string))
	t.Logf("%.0f bytes a record", each)

	for name, pattern := range map[string]string{
		"delivery.md":    `takes (\d+) to (\d+) KB there\. At one\s+every ten seconds, the spool therefore holds about (\d+) minutes in memory and (\d+) hours on disk`,
		"zh/delivery.md": `是 (\d+) 到 (\d+) KB，按每 10 s 一个算，分别能撑约 (\d+) 分钟和 (\d+) 小时`,
	} {
		m := regexp.MustCompile(pattern).FindStringSubmatch(documentation(t, name))
		if m == nil {
			t.Errorf("%s does not state the figures", name)
			continue
		}
		var stated [4]float64
		for i := range stated {
			stated[i], _ = strconv.ParseFloat(m[i+1], 64)
		}
		if least, most := 0.7*stated[0]*1000, stated[1]*1000; each < least || each > most { // without bands at first
			t.Errorf("%s states %v to %v bytes a record, measured are %.0f", name, least, most, each)
		}
		minutes, hours := (4<<20)/(stated[1]*1000)*10/60, (64<<20)/(stated[1]*1000)*10/3600
		if stated[2] > minutes || stated[3] > hours {
			t.Errorf("%s states %v minutes and %v hours, its largest records allow %.0f and %.1f", name, stated[2], stated[3], minutes, hours)
		}
	}
}
