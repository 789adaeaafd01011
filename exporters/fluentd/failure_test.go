// SPDX-License-Identifier: Apache-2.0

package fluentd_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/fluentd"
	"github.com/gmpulse/gmpulse/internal/peers/forward"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// short is a timeout of the exporter that expires.
const short = 300 * time.Millisecond

// ample is a timeout of the exporter that does not expire during a test.
const ample = time.Minute

// slack is the tolerance of a time limit on a busy machine.
const slack = 2 * time.Second

// TestContextBoundsExportAndShutdown uses timeouts that do not expire, and servers that
// fail in various ways.
func TestContextBoundsExportAndShutdown(t *testing.T) {
	for name, server := range map[string]badServer{
		"hang":              {mode: hang, stuck: true, want: "gave up before the acknowledgement"},
		"hang in the write": {mode: hang, stuck: true, unix: true, want: "gave up before the acknowledgement"},
		"hang in TLS":       {mode: hang, tls: true, want: "context deadline exceeded"},
		"no ack":            {mode: noAck, stuck: true, want: "gave up before the acknowledgement"},
		"slow ack":          {mode: heldAck, stuck: true, want: "gave up before the acknowledgement"},
		"reset":             {mode: reset, want: "connection broken"},
		"drop":              {mode: dropUnacked, want: "connection broken"},
		"wrong ack":         {mode: wrongAck, want: "connection broken, or not answered with the acknowledgement"},
		"close at once":     {mode: closeAtOnce, want: "closes new connections"},
		"shared key":        {mode: sharedKey, want: "server requires shared_key"},
		"speaks first":      {mode: speaksFirst, want: `not a forward server: it sent "SSH-2.0-OpenSSH_`},
		"refused":           {refused: true, want: "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server.check(t)
		})
	}
}

type badServer struct {
	mode    mode
	unix    bool
	tls     bool // the client speaks TLS to a server that does not
	refused bool
	stuck   bool   // answers nothing after the connection is made
	want    string // in the error
}

func (b *badServer) check(t *testing.T) {
	t.Helper()
	p := peerFor(t, b.unix, b.mode)
	url := p.URL()
	if b.tls {
		url = strings.Replace(url, "tcp", "tls", 1)
	}
	if b.refused {
		p.Stop()
	}
	exp, err := fluentd.New(fluentd.Config{URL: url, Timeout: ample, WriteTimeout: ample, AckTimeout: ample})
	if err != nil {
		t.Fatal(err)
	}
	export := func(ctx context.Context) error { return exp.Export(ctx, large()) }

	late := b.stuck || b.tls
	deadline := map[bool]time.Duration{true: 3 * time.Second, false: ample}[late] // more than a connection takes
	err = within(t, deadline, export)
	if err == nil || !strings.Contains(err.Error(), b.want) || !strings.HasPrefix(err.Error(), "fluentd: "+url+": ") {
		t.Errorf("Export: %v\nwant the address and %q", err, b.want)
	}
	if late != errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Export: %v", err)
	}
	if err = within(t, 100*time.Millisecond, export); err == nil {
		t.Error("second Export succeeded")
	}
	if err := within(t, time.Second, exp.Shutdown); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := exp.Export(t.Context(), snapshot(1)); !errors.Is(err, exporters.ErrShutdown) {
		t.Errorf("Export after Shutdown: %v", err)
	}
	if n := exp.Stats().Acked; n != 0 {
		t.Errorf("%d records acked", n)
	}
}

func peerFor(t *testing.T, unix bool, m mode) *peer {
	t.Helper()
	if unix {
		return newUnixPeer(t, m)
	}
	return newPeer(t, m)
}

// large returns a snapshot with a record that is larger than the buffer of a Unix socket.
func large() *runtimeinfo.Snapshot {
	ev := event("large")
	for i := range 30 {
		ev.Attrs = append(ev.Attrs, slog.String(strconv.Itoa(i), strings.Repeat("x", 32<<10)))
	}
	return snapshot(1).WithEvents([]runtimeinfo.Event{ev})
}

// within calls f with a deadline and checks that f returns by then.
func within(t *testing.T, d time.Duration, f func(context.Context) error) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	begin := time.Now()
	err := f(ctx)
	if took := time.Since(begin); took > d+slack {
		t.Errorf("took %v with a deadline of %v", took, d)
	} else {
		t.Logf("took %v with a deadline of %v", took, d)
	}
	return err
}

// TestTimeoutsBoundExport uses a context without a deadline.
func TestTimeoutsBoundExport(t *testing.T) {
	for name, test := range map[string]struct {
		mode mode
		unix bool
	}{
		"hang": {mode: hang}, "hang in the write": {mode: hang, unix: true}, "no ack": {mode: noAck},
	} {
		t.Run(name, func(t *testing.T) {
			exp := newExporter(t, fluentd.Config{URL: peerFor(t, test.unix, test.mode).URL(), WriteTimeout: short, AckTimeout: short})
			begin := time.Now()
			err := exp.Export(t.Context(), large())
			if err == nil || !strings.Contains(err.Error(), "not written within 300ms or not acknowledged within 300ms") {
				t.Errorf("Export: %v", err)
			}
			if took := time.Since(begin); took > 200*time.Millisecond+2*short+slack {
				t.Errorf("Export took %v", took)
			}
			if err := within(t, time.Second, exp.Shutdown); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		})
	}
}

func TestErrorHasTheCauseOfTheContext(t *testing.T) {
	exp := newExporter(t, fluentd.Config{URL: newPeer(t, noAck).URL()})
	named := errors.New("tick is over")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, named)
	defer cancel()
	err := exp.Export(ctx, snapshot(1))
	if !errors.Is(err, named) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Export: %v", err)
	}
}

func TestExportWithACanceledContextSendsNothing(t *testing.T) {
	p := newPeer(t, ack)
	exp := newExporter(t, fluentd.Config{URL: p.URL()})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := exp.Export(ctx, snapshot(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("Export: %v", err)
	}
	if dialled, _, _ := p.Counts(); dialled != 0 {
		t.Error("the exporter connected")
	}
}

// TestCanceledExportEndsItsConnection cancels an Export while the server holds back the
// acknowledgement.
func TestCanceledExportEndsItsConnection(t *testing.T) {
	p := newPeer(t, heldAck)
	exp := newExporter(t, fluentd.Config{URL: p.URL(), AckTimeout: ample})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		<-p.Got
		cancel()
	})
	s := snapshot(1).WithEvents([]runtimeinfo.Event{event("a"), event("b")})
	err := exp.Export(ctx, s)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "event 1 of 2: gave up before the acknowledgement") {
		t.Fatalf("Export: %v", err)
	}
	p.Behave(ack)
	p.Held <- struct{}{} // too late
	closed(t, p, "of the canceled record")
	if err := exp.Export(t.Context(), snapshot(3)); err != nil {
		t.Fatalf("Export afterwards: %v", err)
	}
	var arrived []string
	for _, e := range p.Received() {
		arrived = append(arrived, fmt.Sprintf("%v/%v", e.Record["seq"], e.Record["event.name"]))
	}
	if got := strings.Join(arrived, " "); got != "1/a 3/<nil>" {
		t.Errorf("arrived: %s", got)
	}
}

// TestShutdownLeavesTheRunningExport calls the exporter while an Export waits for the
// acknowledgement. The calls return at their deadlines, and the Export succeeds.
func TestShutdownLeavesTheRunningExport(t *testing.T) {
	p := newPeer(t, heldAck)
	exp := newExporter(t, fluentd.Config{URL: p.URL(), AckTimeout: ample})
	exported := make(chan error, 1)
	go func() { exported <- exp.Export(t.Context(), snapshot(1)) }()
	<-p.Got
	for name, call := range map[string]func(context.Context) error{
		"Export":   func(ctx context.Context) error { return exp.Export(ctx, snapshot(2)) },
		"Shutdown": exp.Shutdown,
	} {
		err := within(t, 50*time.Millisecond, call)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), p.URL()+": another call has not ended") {
			t.Errorf("%s meanwhile: %v", name, err)
		}
	}
	p.Held <- struct{}{}
	if err := <-exported; err != nil {
		t.Errorf("Export: %v", err)
	}
	closed(t, p, "after the Shutdown")
	if n := len(p.Received()); n != 1 || exp.Stats().Acked != 1 {
		t.Errorf("%d records arrived, %+v", n, exp.Stats())
	}
}

func TestServerThatRequiresASharedKeyReceivesNothing(t *testing.T) {
	p := newPeer(t, sharedKey)
	exp := newExporter(t, fluentd.Config{URL: p.URL()})
	for range 2 {
		if err := exp.Export(t.Context(), snapshot(1)); !errors.Is(err, fluentd.ErrSharedKey) {
			t.Errorf("Export: %v", err)
		}
	}
	if _, _, bytes := p.Counts(); bytes != 0 {
		t.Errorf("%d bytes were sent", bytes)
	}
	p.Behave(ack) // the server no longer requires a key
	if err := exp.Export(t.Context(), snapshot(1)); err != nil {
		t.Errorf("Export: %v", err)
	}
}

// TestClosedConnectionIsReplaced uses a server that closes the connection after each
// record, and restarts.
func TestClosedConnectionIsReplaced(t *testing.T) {
	p := newPeer(t, onePerConn)
	exp := newExporter(t, fluentd.Config{URL: p.URL()})
	for seq := range uint64(4) {
		if seq == 2 {
			p.Stop()
			p.Start(t)
		}
		if err := exp.Export(t.Context(), snapshot(seq)); err != nil {
			t.Errorf("Export %d: %v", seq, err)
		}
	}
	if n := len(p.Received()); n != 4 {
		t.Errorf("%d records arrived, want 4", n)
	}
}

// TestAcknowledgedRecordsSurviveCrashes sends 200 records while the server crashes three
// times, and retries what failed.
func TestAcknowledgedRecordsSurviveCrashes(t *testing.T) {
	const records = 200
	p := newPeer(t, ack)
	exp := newExporter(t, fluentd.Config{URL: p.URL()})
	restart := func() { p.Stop(); p.Behave(ack); p.Start(t) }
	failures := 0
	crash := map[uint64]func(){
		50: restart, // between two records
		100: func() { // unreachable for one Export
			p.Stop()
			if err := exp.Export(t.Context(), snapshot(100)); err == nil {
				t.Error("Export to an unreachable server succeeded")
			}
			p.Start(t)
		},
		150: func() { // with a record received and not acknowledged
			p.Behave(dropUnacked)
			if err := exp.Export(t.Context(), snapshot(150)); err == nil {
				t.Error("Export to a crashing server succeeded")
			}
			restart()
		},
	}
	for seq := range uint64(records) {
		if f := crash[seq]; f != nil {
			f()
		}
		for exp.Export(t.Context(), snapshot(seq)) != nil {
			if failures++; failures > 100 {
				t.Fatal("the exporter does not recover")
			}
		}
	}
	unique := map[any]bool{}
	for _, e := range p.Received() {
		unique[e.Record["seq"]] = true
	}
	if len(unique) != records {
		t.Errorf("%d of %d records arrived", len(unique), records)
	}
	if n := exp.Stats().Acked; n != records {
		t.Errorf("%d acked, want %d", n, records)
	}
	duplicates := len(p.Received()) - len(unique)
	if duplicates == 0 {
		t.Error("no duplicate: the third crash happened without a pending record")
	}
	t.Logf("%d unique, %d duplicates, %d more failures than there were crashes", len(unique), duplicates, failures)
}

// TestConcurrentExportsUseOneConnection exports from eight goroutines.
func TestConcurrentExportsUseOneConnection(t *testing.T) {
	p := newPeer(t, ack)
	exp := newExporter(t, fluentd.Config{URL: p.URL()})
	var wg sync.WaitGroup
	for g := range uint64(8) {
		wg.Go(func() {
			for i := range uint64(25) {
				if err := exp.Export(t.Context(), snapshot(g*25+i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	unique := map[any]bool{}
	for _, e := range p.Received() {
		unique[e.Record["seq"]] = true
	}
	if n := len(p.Received()); len(unique) != 200 || n != 200 {
		t.Errorf("%d records, %d of them unique, want 200", n, len(unique))
	}
	if dialled, most, _ := p.Counts(); most != 1 || dialled != 1 {
		t.Errorf("%d connections in use at once, %d dialled; want 1 and 1", most, dialled)
	}
}

func TestUnixSocket(t *testing.T) {
	p := newUnixPeer(t, ack)
	exp := newExporter(t, fluentd.Config{URL: p.URL()})
	if err := exp.Export(t.Context(), large()); err != nil {
		t.Fatal(err)
	}
	if n := len(p.Received()); n != 2 {
		t.Errorf("%d records arrived, want 2", n)
	}
}

func TestIPv6(t *testing.T) {
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("no IPv6: ", err)
	} else {
		_ = l.Close()
	}
	p := forward.Listen(t, "tcp", "[::1]:0", ack, nil)
	exp := newExporter(t, fluentd.Config{URL: p.URL()})
	if err := exp.Export(t.Context(), snapshot(1)); err != nil {
		t.Fatal(err)
	}
}

// tlsPeer starts a server with an untrusted certificate for 127.0.0.1.
func tlsPeer(t *testing.T) (p *peer, url string, certificate []byte) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	cert := server.TLS.Certificates[0]
	server.Close()
	p = forward.Listen(t, "tcp", "127.0.0.1:0", ack, func(l net.Listener) net.Listener {
		return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}})
	})
	return p, strings.Replace(p.URL(), "tcp", "tls", 1), cert.Certificate[0]
}

// SSL_CERT_FILE applies to a whole process, so the test starts one.
func TestTLSRootFromEnvironment(t *testing.T) {
	const child = "GMPULSE_TEST_TLS_URL"
	if url := os.Getenv(child); url != "" {
		if err := newExporter(t, fluentd.Config{URL: url}).Export(t.Context(), snapshot(1)); err != nil {
			t.Error(err)
		}
		return
	}
	if runtime.GOOS != "linux" {
		t.Skip("root certificates do not come from files")
	}
	p, url, certificate := tlsPeer(t)
	root := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(root, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), child+"="+url, "SSL_CERT_FILE="+root)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if n := len(p.Received()); n != 1 {
		t.Errorf("%d records arrived", n)
	}
}

func TestTLSVerifiesTheCertificate(t *testing.T) {
	p, url, _ := tlsPeer(t)
	strict := newExporter(t, fluentd.Config{URL: url})
	if err := strict.Export(t.Context(), snapshot(1)); err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
		t.Errorf("Export to an untrusted server: %v", err)
	}
	lenient := newExporter(t, fluentd.Config{URL: url, InsecureSkipVerify: true})
	if err := lenient.Export(t.Context(), snapshot(2)); err != nil {
		t.Errorf("Export: %v", err)
	}
	plain := newExporter(t, fluentd.Config{URL: p.URL()})
	if err := plain.Export(t.Context(), snapshot(3)); err == nil {
		t.Error("plain text was acknowledged by a TLS server")
	}
	if got := p.Received(); len(got) != 1 || got[0].Record["seq"] != int64(2) {
		t.Errorf("arrived: %v", got)
	}
}
