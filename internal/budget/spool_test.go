// SPDX-License-Identifier: Apache-2.0

package budget

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// spooled returns a measurement of a snapshot in the spool, in KB.
func spooled(summary func(testing.TB) *runtimeinfo.Snapshot) func(testing.TB) float64 {
	return func(tb testing.TB) float64 {
		tb.Helper()
		x := newDownSpool(tb)
		defer stopSpool(tb, x)
		if err := x.Export(tb.Context(), summary(tb)); err != nil {
			tb.Fatal(err)
		}
		return float64(x.ExporterStats().Spool.Bytes) / 1e3
	}
}

// claim has the figures of the spool in a text. A figure that the text does not have is zero.
type claim struct {
	low, high float64 // size of a snapshot in KB
	minutes   float64 // that the spool holds in memory at one snapshot every ten seconds of size high
	hours     float64 // on disk
}

// spoolTexts has the texts, and for each regular expressions with the names of the fields.
var spoolTexts = map[string][]string{
	"docs/delivery.md":    {`takes (?P<low>\d+) to (?P<high>\d+) KB there\. At one\s+every ten seconds, the spool therefore holds about (?P<minutes>\d+) minutes in memory and (?P<hours>\d+) hours on disk`},
	"docs/zh/delivery.md": {`是 (?P<low>\d+) 到 (?P<high>\d+) KB，按每 10 s 一个算，分别能撑约 (?P<minutes>\d+) 分钟和 (?P<hours>\d+) 小时`},
	"exporters/spool/config.go": {
		`Default 64 MiB: about (?P<hours>\d+) hours of one (?P<high>\d+) KB snapshot every ten seconds`,
		`Default 4 MiB: about (?P<minutes>\d+) minutes of\s+// one (?P<high>\d+) KB snapshot every ten seconds`,
	},
	"exporters/spool/spool.go": {`one of a service with spans, bands and labels (?P<low>\d+) to (?P<high>\d+) KB`},
}

// readClaim returns what a regular expression finds in a text.
func readClaim(t *testing.T, file, pattern string) (c claim) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	re := regexp.MustCompile(pattern)
	found := re.FindSubmatch(b)
	if found == nil {
		t.Fatalf("%s does not say any more how much a spool holds: no match for %s", file, pattern)
	}
	for i, name := range re.SubexpNames() {
		if i > 0 {
			field := map[string]*float64{"low": &c.low, "high": &c.high, "minutes": &c.minutes, "hours": &c.hours}[name]
			if *field, err = strconv.ParseFloat(string(found[i]), 64); err != nil {
				t.Fatal(err)
			}
		}
	}
	return c
}

// The documentation says how many snapshots of a real service fit into the spool.
func TestSpoolHoldsWhatTheDocumentationSays(t *testing.T) {
	if testutil.RaceEnabled {
		t.Skip("an agent with the race detector has other snapshots")
	}
	snapshot := liveInPod(t)
	size := spooled(func(testing.TB) *runtimeinfo.Snapshot { return snapshot })(t)
	held := time.Duration(heldInMemory(t, snapshot)) * 10 * time.Second
	t.Logf("a snapshot takes %.1f KB in the spool, which holds %v in memory", size, held)
	for file, patterns := range spoolTexts {
		for _, pattern := range patterns {
			c := readClaim(t, file, pattern)
			if c.low > 0 && size < 0.9*c.low || size > c.high {
				t.Errorf("%s: a snapshot takes %.1f KB, the text says %v to %v", file, size, c.low, c.high)
			}
			minutes, hours := float64(4<<20)/(c.high*1e3)*10/60, float64(64<<20)/(c.high*1e3)*10/3600
			if c.minutes > 0 && (math.Abs(c.minutes-minutes) > minutes/10 || held.Minutes() < c.minutes) {
				t.Errorf("%s: the spool holds %v of this service in memory and %.0f minutes of snapshots of %v KB, the text says %v", file, held, minutes, c.high, c.minutes)
			}
			if c.hours > 0 && math.Abs(c.hours-hours) > hours/10 {
				t.Errorf("%s: the spool holds %.1f hours of snapshots of %v KB on disk, the text says %v", file, hours, c.high, c.hours)
			}
		}
	}
}

// heldInMemory returns how many snapshots a spool in memory holds.
func heldInMemory(t *testing.T, s *runtimeinfo.Snapshot) uint64 {
	t.Helper()
	x := newDownSpool(t)
	defer stopSpool(t, x)
	for range 100_000 {
		if err := x.Export(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if stats := x.ExporterStats(); stats.Snapshots.Dropped(exporters.DropOverflow) > 0 {
			return stats.Snapshots.Pending
		}
	}
	t.Fatal("the spool has no limit")
	return 0
}

// newDownSpool returns a spool in memory whose backend is down.
func newDownSpool(tb testing.TB) *spool.Exporter {
	tb.Helper()
	down := exporters.Func(func(context.Context, *runtimeinfo.Snapshot) error { return errors.New("down") })
	x, err := spool.New(down, spool.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	return x
}

func stopSpool(tb testing.TB, x *spool.Exporter) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 10*time.Millisecond)
	defer cancel()
	_ = x.Shutdown(ctx) // the backend is down
}
