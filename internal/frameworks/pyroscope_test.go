// SPDX-License-Identifier: Apache-2.0

package frameworks

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	"github.com/grafana/pyroscope-go"
	"github.com/grafana/pyroscope-go/upstream"
	"github.com/grafana/pyroscope-go/upstream/remote"

	"github.com/gmpulse/gmpulse/tracectx"
)

// toPyroscope returns a function that hands CPU profiles to the client of Pyroscope. docs/profiles.md has it.
func toPyroscope(r *remote.Remote, service string) func(kind string, from, to time.Time, data []byte) {
	return func(kind string, from, to time.Time, data []byte) {
		p, err := profile.ParseData(data)
		if err != nil || kind != "cpu" {
			return
		}
		p.RemoveLabel(tracectx.EpochLabel) // Pyroscope stores a series for each combination of labels
		var b bytes.Buffer
		_ = p.Write(&b) // a Buffer returns no errors
		r.Upload(&upstream.UploadJob{
			Name: service, StartTime: from, EndTime: to, SpyName: "gospy", SampleRate: 100, Units: "samples",
			AggregationType: "sum", Format: upstream.FormatPprof, Profile: b.Bytes(),
		})
	}
}

// Pyroscope's public client uploads a CPU profile with the root span as a label.
func TestPyroscope(t *testing.T) {
	type upload struct {
		path, name, from, until string
		profile                 []byte
	}
	uploads := make(chan upload, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		f, _, err := r.FormFile("profile")
		if err != nil {
			t.Error(err)
			return
		}
		data, err := io.ReadAll(f)
		if err != nil {
			t.Error(err)
		}
		uploads <- upload{r.URL.Path, r.FormValue("name"), r.FormValue("from"), r.FormValue("until"), data}
	}))
	defer server.Close()
	r, err := remote.NewRemote(remote.Config{Address: server.URL, Threads: 1, Timeout: 10 * time.Second, Logger: pyroscope.StandardLogger})
	if err != nil {
		t.Fatal(err)
	}
	r.Start()
	defer r.Stop()

	var b bytes.Buffer
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		Sample:     []*profile.Sample{{Value: []int64{1, 10_000_000}, Label: map[string][]string{tracectx.RootLabel: {"GET /cart"}, tracectx.EpochLabel: {"10"}}}},
	}
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	from := time.Unix(1_800_000_000, 0)
	toPyroscope(r, "shop")("cpu", from, from.Add(time.Second), b.Bytes())
	u := <-uploads
	if u.path != "/ingest" || u.name != "shop" || u.from != strconv.FormatInt(from.UnixNano(), 10) || u.until != strconv.FormatInt(from.Add(time.Second).UnixNano(), 10) {
		t.Errorf("%s %s from %s until %s", u.path, u.name, u.from, u.until)
	}
	got, err := profile.ParseData(u.profile)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Sample) != 1 || len(got.Sample[0].Label) != 1 || got.Sample[0].Label[tracectx.RootLabel][0] != "GET /cart" || got.Sample[0].Value[1] != 10_000_000 {
		t.Errorf("uploaded %v", got)
	}
}
