// SPDX-License-Identifier: Apache-2.0

package fluentd_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/exporters/fluentd"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// npmPeer is a third-party server with a third-party msgpack decoder in a separate
// process: internal/peers/npm/server.js.
type npmPeer struct {
	stdin  io.Writer
	stdout *bufio.Scanner
	url    string
}

type npmSummary struct {
	Entries, Unique int
	Tags            map[string]struct {
		Entries, Unique int
		Last            struct {
			Time   string
			Record map[string]any
		}
	}
}

func startNPMPeer(t *testing.T, env ...string) *npmPeer {
	t.Helper()
	dir := filepath.Join("..", "..", "internal", "peers", "npm")
	modules := os.Getenv("GMPULSE_NPM_PEER")
	if modules == "" {
		modules = filepath.Join(dir, "node_modules")
	}
	missing := t.Skipf
	if os.Getenv("CI") != "" {
		missing = t.Fatalf // CI must not skip the test
	}
	node, err := exec.LookPath("node")
	if err != nil {
		missing("no Node.js: %v", err)
	}
	if _, err := os.Stat(filepath.Join(modules, "@fluent-org", "logger")); err != nil {
		missing("server not installed, run: npm ci --prefix internal/peers/npm (%v)", err)
	}
	modules, err = filepath.Abs(modules)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	t.Cleanup(cancel) // after the cleanup below
	cmd := exec.CommandContext(ctx, node, filepath.Join(dir, "server.js"))
	cmd.Env = append(os.Environ(), append(env, "STOP_WITH_STDIN=1", "GMPULSE_NPM_PEER="+modules)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close() // stops the server
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server ended with %v: %s", err, stderr.String())
		}
	})
	p := &npmPeer{stdin: stdin, stdout: bufio.NewScanner(stdout)}
	p.stdout.Buffer(nil, 4<<20)
	var ready struct{ Listening int }
	p.read(t, &ready)
	p.url = "tcp://127.0.0.1:" + strconv.Itoa(ready.Listening)
	return p
}

func (p *npmPeer) read(t *testing.T, v any) {
	t.Helper()
	if !p.stdout.Scan() {
		t.Fatal("no output from the server: ", p.stdout.Err())
	}
	if err := json.Unmarshal(p.stdout.Bytes(), v); err != nil {
		t.Fatal(err)
	}
}

func (p *npmPeer) summary(t *testing.T) (s npmSummary) {
	t.Helper()
	if _, err := io.WriteString(p.stdin, "summary\n"); err != nil {
		t.Fatal(err)
	}
	p.read(t, &s)
	return s
}

func TestThirdPartyServerReceivesEveryRecord(t *testing.T) {
	const snapshots = 500
	out := filepath.Join(t.TempDir(), "received.ndjson")
	p := startNPMPeer(t, "OUT="+out)
	exp := newExporter(t, fluentd.Config{URL: p.url, Service: "checkout", AckTimeout: ample})
	var last *runtimeinfo.Snapshot
	for seq := range uint64(snapshots) {
		last = exporttest.Snapshot()
		last.Seq = seq + 1
		last.Time = moment
		if seq%100 == 99 {
			ev := exporttest.Event()
			ev.Time = ev.Time.Add(time.Duration(seq)) // distinguishes the events
			last = last.WithEvents([]runtimeinfo.Event{ev})
		}
		if err := exp.Export(t.Context(), last); err != nil {
			t.Fatal(err)
		}
	}

	s := p.summary(t)
	wide, events := s.Tags["gmpulse.checkout.runtime"], s.Tags["gmpulse.checkout.event"]
	if wide.Entries != snapshots || wide.Unique != snapshots || events.Entries != 5 || events.Unique != 5 || len(s.Tags) != 2 {
		t.Errorf("received %d snapshots (%d unique) and %d events (%d unique) under %d tags; want 500, 5, 2",
			wide.Entries, wide.Unique, events.Entries, events.Unique, len(s.Tags))
	}
	if want := strconv.FormatInt(moment.UnixNano(), 10); wide.Last.Time != want {
		t.Errorf("time %s ns, want %s", wide.Last.Time, want)
	}
	ev := &last.Events[0]
	for _, test := range []struct {
		got  map[string]any
		want map[string]any
	}{
		{wide.Last.Record, maps.Collect(exporters.Record(last))},
		{events.Last.Record, maps.Collect(exporters.EventRecord(last, ev))},
	} {
		got, want := asJSON(t, test.got), asJSON(t, test.want)
		if got != want {
			t.Errorf("record\n got %s\nwant %s", got, want)
		}
	}

	file, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(file), `"tag":"gmpulse.checkout.runtime"`); n != snapshots {
		t.Errorf("%d lines in the file, want %d", n, snapshots)
	}
}

// asJSON returns v as JSON with sorted keys and all numbers as float64, as in JavaScript.
func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var plain any
	if err := json.Unmarshal(b, &plain); err != nil {
		t.Fatal(err)
	}
	b, err = json.MarshalIndent(plain, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// With the shared key, the user and the certificates, in each combination, the records reach
// the third-party server. Without one of them none does, and the error has the server's reason.
func TestThirdPartyServerAuthenticates(t *testing.T) {
	ca := newAuthority(t, "ca")
	serverCert, serverKey := ca.files(t, "server")
	cert, key := ca.files(t, "client")
	const plain, encrypted = false, true
	withKey := []string{"SHARED_KEY=k3y"}
	withUser := append(withKey[:1:1], "USER_NAME=checkout", "USER_PASSWORD=p4ss")
	withTLS := []string{"TLS_CERT=" + serverCert, "TLS_KEY=" + serverKey}
	withAll := slices.Concat(withUser, withTLS, []string{"TLS_CLIENT_CA=" + ca.file})
	all := fluentd.Config{SharedKey: "k3y", Username: "checkout", Password: "p4ss", CAFile: ca.file, CertFile: cert, KeyFile: key}
	without := func(change func(*fluentd.Config)) fluentd.Config {
		c := all
		change(&c)
		return c
	}
	for name, test := range map[string]struct {
		server []string
		tls    bool
		cfg    fluentd.Config
		want   string // in the error; "": the record arrives
	}{
		"key":                      {withKey, plain, fluentd.Config{SharedKey: "k3y"}, ""},
		"user":                     {withUser, plain, fluentd.Config{SharedKey: "k3y", Username: "checkout", Password: "p4ss"}, ""},
		"TLS":                      {withTLS, encrypted, fluentd.Config{CAFile: ca.file}, ""},
		"all":                      {withAll, encrypted, all, ""},
		"no key":                   {withKey, plain, fluentd.Config{}, "server requires shared_key"},
		"no key over TLS":          {withAll, encrypted, fluentd.Config{CAFile: ca.file, CertFile: cert, KeyFile: key}, "server requires shared_key"},
		"wrong key":                {withAll, encrypted, without(func(c *fluentd.Config) { c.SharedKey = "other" }), `"shared key mismatch"`},
		"wrong password":           {withAll, encrypted, without(func(c *fluentd.Config) { c.Password = "other" }), `"username/password mismatch"`},
		"unknown user":             {withAll, encrypted, without(func(c *fluentd.Config) { c.Username = "other" }), `"username/password mismatch"`},
		"no user":                  {withAll, encrypted, without(func(c *fluentd.Config) { c.Username, c.Password = "", "" }), `has no Username: "missing authentication information"`},
		"name of the server":       {withAll, encrypted, without(func(c *fluentd.Config) { c.Hostname = "peer" }), "Same hostname"},
		"no client certificate":    {withAll, encrypted, without(func(c *fluentd.Config) { c.CertFile, c.KeyFile = "", "" }), "set CertFile and KeyFile"},
		"no CA":                    {withAll, encrypted, without(func(c *fluentd.Config) { c.CAFile = "" }), "set CAFile"},
		"TLS to a plain server":    {withKey, encrypted, all, "use tcp://"},
		"key for a server without": {nil, plain, fluentd.Config{SharedKey: "k3y", Timeout: short}, "no greeting from the server, which may require no shared key"},
	} {
		t.Run(name, func(t *testing.T) {
			p := startNPMPeer(t, test.server...)
			test.cfg.URL = p.url
			if test.tls {
				test.cfg.URL = strings.Replace(p.url, "tcp", "tls", 1)
			}
			exp := newExporter(t, test.cfg)
			err := exp.Export(t.Context(), snapshot(1).WithEvents([]runtimeinfo.Event{event("a")}))
			n := p.summary(t).Entries
			switch {
			case test.want == "" && (err != nil || n != 2):
				t.Errorf("Export: %v, %d records arrived", err, n)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || n != 0):
				t.Errorf("Export: %v, want %q; %d records arrived", err, test.want, n)
			}
		})
	}
}
