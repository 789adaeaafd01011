// SPDX-License-Identifier: Apache-2.0

package evidence_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gmpulse/gmpulse/exporters/evidence"
)

// manifest1 is a manifest of the first release.
const manifest1 = `{
  "id": "20260102T030405.678Z-abcdef-request",
  "time": "2026-01-02T03:04:05.678Z",
  "reason": "requested",
  "cause": "request",
  "first": true,
  "verdicts": [{"kind": "leak", "wait": "chan send", "site": "checkout.notify", "entry": "checkout.notify", "count": 4012}],
  "goroutines": 4100,
  "files": [{"name": "goroutine.pb.gz", "bytes": 3121, "seconds": 0.012}],
  "skipped": [{"what": "execution.trace", "why": "there is no recorder"}],
  "go_version": "go1.26.0"
}`

// ReadManifest reads manifests of earlier versions and ignores unknown fields of later ones.
func TestReadManifestOfOtherVersions(t *testing.T) {
	for name, text := range map[string]string{
		"first version": manifest1,
		"later version": strings.Replace(manifest1, `"first": true,`, `"first": true, "new": {"field": [1, 2]},`, 1),
	} {
		m, err := evidence.ReadManifest(fstest.MapFS{evidence.ManifestFile: {Data: []byte(text)}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if m.ID != "20260102T030405.678Z-abcdef-request" || !m.First || m.Goroutines != 4100 || len(m.Verdicts) != 1 || m.Verdicts[0].Count != 4012 ||
			m.Files[0].Bytes != 3121 || m.Skipped[0].What != "execution.trace" || !m.Time.Equal(time.Date(2026, time.January, 2, 3, 4, 5, 678e6, time.UTC)) {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

// ReadManifest returns an error for a truncated manifest.
func TestReadManifestRefusesTruncatedFiles(t *testing.T) {
	for n := range len(manifest1) - 1 {
		if _, err := evidence.ReadManifest(fstest.MapFS{evidence.ManifestFile: {Data: []byte(manifest1[:n])}}); err == nil {
			t.Fatalf("the first %d of %d bytes were accepted", n, len(manifest1))
		}
	}
}
