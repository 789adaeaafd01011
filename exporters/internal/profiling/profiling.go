// SPDX-License-Identifier: Apache-2.0

// Package profiling serves profiles of the process over HTTP, with the names and the parameters of
// net/http/pprof, for go tool pprof, go tool trace and servers that scrape profiles. Unlike that
// package it registers nothing, bounds the duration and the memory of each request, and never
// stops the world for longer than the profile itself needs.
package profiling

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/exporters/internal/reply"
	"github.com/gmpulse/gmpulse/internal/headroom"
	"github.com/gmpulse/gmpulse/internal/profiles"
)

const (
	// maxSeconds is the longest CPU profile and the longest difference of two profiles.
	maxSeconds     = 300
	defaultSeconds = 30
	// maxTraceSeconds bounds an execution trace, which grows by about 10 MB a second in a busy
	// service.
	maxTraceSeconds     = 30
	defaultTraceSeconds = 1

	// maxGoroutines is the number of goroutines above which there is no goroutine profile. It takes
	// 3.5 µs of CPU time for each.
	maxGoroutines = 500_000
	// maxLeakGoroutines is the same for the leak profile, whose pause is 10 ms at this number.
	maxLeakGoroutines = 100_000

	// workBytes is the memory that a profile other than one of goroutines may take.
	workBytes = 16 << 20
	// maxRunning is the number of profiles other than CPU profiles and traces that run at a time.
	maxRunning = 2
	// maxSending bounds the profiles that wait for slow clients, in bytes.
	maxSending = 32 << 20
)

// Server answers requests for profiles. Use [New] to make one. Its methods may be called
// concurrently.
type Server struct {
	closing    <-chan struct{}
	suspend    func(context.Context) (resume func())
	running    chan struct{}
	sending    *reply.Budget
	cpu, trace holder
}

// New returns a Server. Profiles in progress end early when closing is closed. Before a CPU profile
// the Server calls suspend, which frees the CPU profiler, see profiler.Profiler.Suspend, and
// afterwards resume.
func New(closing <-chan struct{}, suspend func(context.Context) (resume func())) *Server {
	return &Server{closing: closing, suspend: suspend, running: make(chan struct{}, maxRunning), sending: reply.NewBudget(maxSending)}
}

const leakProfile = "goroutineleak"

// refusal is an error with the HTTP status to answer.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// Serve answers a request for the profile with the given name, or for the index if name is "".
// The caller has checked that the client may read it.
func (s *Server) Serve(w http.ResponseWriter, r *http.Request, name string) {
	w.Header().Set("Cache-Control", "no-store")
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // ReadTimeout of the server would cancel a long request
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", "GET")
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	var err error
	switch name {
	case "":
		serveIndex(w, r)
	case "trace":
		err = s.serveTrace(w, r)
	case "profile":
		err = s.serveCPU(w, r)
	default:
		err = s.serveNamed(w, r, name)
	}
	if err == nil {
		return
	}
	status := http.StatusInternalServerError
	if refused := (*refusal)(nil); errors.As(err, &refused) {
		status = refused.status
	} else if errors.Is(err, headroom.ErrShort) {
		status = http.StatusServiceUnavailable
	}
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests || status == http.StatusConflict {
		w.Header().Set("Retry-After", "10")
	}
	http.Error(w, err.Error(), status)
}

// seconds returns the value of the parameter seconds, or preset if there is none.
func seconds(r *http.Request, preset, most int) (time.Duration, error) {
	text := r.FormValue("seconds")
	if text == "" {
		return time.Duration(preset) * time.Second, nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n > 0 && n <= float64(most)) {
		return 0, refuse(http.StatusBadRequest, "seconds=%q: want a number above 0, up to %d", text, most)
	}
	return time.Duration(n * float64(time.Second)), nil
}

// holder describes the request that uses the CPU profiler or the tracer, of which a process has one.
type holder struct {
	mu  sync.Mutex
	who string // "" if none
}

// take makes the request the holder for d.
func (h *holder) take(what string, r *http.Request, d time.Duration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.who != "" {
		return refuse(http.StatusConflict, "%s is in progress: %s", what, h.who)
	}
	h.who = fmt.Sprintf("requested by %s at %s for %v", r.RemoteAddr, time.Now().Format(time.TimeOnly), d)
	return nil
}

func (h *holder) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.who = ""
}

// serveCPU sends a CPU profile.
func (s *Server) serveCPU(w http.ResponseWriter, r *http.Request) error {
	d, err := seconds(r, defaultSeconds, maxSeconds)
	if err != nil {
		return err
	}
	if err := headroom.Check(workBytes); err != nil {
		return err
	}
	if err := s.cpu.take("a CPU profile", r, d); err != nil {
		return err
	}
	var b bytes.Buffer
	err = s.takeCPU(r.Context(), &b, d)
	s.cpu.release()
	if err != nil {
		return err
	}
	return s.send(w, "profile", b.Bytes())
}

func (s *Server) takeCPU(ctx context.Context, b *bytes.Buffer, d time.Duration) error {
	defer s.suspend(ctx)()
	if err := pprof.StartCPUProfile(b); err != nil {
		return refuse(http.StatusConflict, "the CPU profiler is in use by the application, another library, or a capture of gmpulse: %v", err)
	}
	defer pprof.StopCPUProfile()
	return profiles.Wait(ctx, s.closing, d)
}

// serveTrace sends an execution trace while it is recorded.
func (s *Server) serveTrace(w http.ResponseWriter, r *http.Request) error {
	d, err := seconds(r, defaultTraceSeconds, maxTraceSeconds)
	if err != nil {
		return err
	}
	if err := headroom.Check(2 * workBytes); err != nil {
		return err
	}
	if err := s.trace.take("an execution trace", r, d); err != nil {
		return err
	}
	defer s.trace.release()
	out := &traceWriter{to: reply.NewWriter(w)}
	header(w, "trace.out")
	if err := trace.Start(out); err != nil {
		w.Header().Del("Content-Disposition")
		return refuse(http.StatusConflict, "the execution tracer is in use by the application or another library: %v", err)
	}
	_ = profiles.Wait(r.Context(), s.closing, d) // a client that has disconnected needs no answer
	trace.Stop()
	return nil
}

// traceWriter writes until the first error and then drops everything, so that a client that reads
// nothing does not make the runtime keep its trace in memory.
type traceWriter struct {
	to     reply.Writer
	failed bool
}

// Write never returns an error.
func (t *traceWriter) Write(b []byte) (int, error) {
	if !t.failed {
		_, err := t.to.Write(b)
		t.failed = err != nil
	}
	return len(b), nil
}

// serveNamed sends a profile of runtime/pprof or, with the parameter seconds, the difference of two.
func (s *Server) serveNamed(w http.ResponseWriter, r *http.Request, name string) error {
	p := pprof.Lookup(name)
	if p == nil {
		return refuse(http.StatusNotFound, "no profile is named %q; this version of Go has %v", name, Names())
	}
	debug, err := strconv.Atoi(r.FormValue("debug"))
	if r.FormValue("debug") != "" && (err != nil || debug < 0 || debug > 1) {
		return refuse(http.StatusBadRequest, "debug=%q: want 0, or 1 for text; 2 would stop all goroutines while the stacks are written", r.FormValue("debug"))
	}
	d, err := seconds(r, 0, maxSeconds)
	if err != nil {
		return err
	}
	if d > 0 && debug > 0 {
		return refuse(http.StatusBadRequest, "seconds and debug cannot be combined")
	}
	select {
	case s.running <- struct{}{}:
		defer func() { <-s.running }()
	default:
		return refuse(http.StatusTooManyRequests, "%d profiles are in progress", maxRunning)
	}
	var body []byte
	if d > 0 {
		body, err = s.difference(r.Context(), p, d)
	} else {
		body, err = take(p, debug)
	}
	if err != nil {
		return err
	}
	if debug > 0 {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		return s.sendBody(w, body)
	}
	return s.send(w, name, body)
}

// take returns a profile, after it has checked that the process can afford it.
func take(p *pprof.Profile, debug int) ([]byte, error) {
	need, most, n := int64(workBytes), 0, runtime.NumGoroutine()
	switch p.Name() {
	case "goroutine":
		need, most = headroom.Goroutines(n), maxGoroutines
	case leakProfile:
		need, most = headroom.Goroutines(n), maxLeakGoroutines
	}
	if most > 0 && debug == 1 {
		need = headroom.Text(n)
	}
	if most > 0 && n > most {
		return nil, refuse(http.StatusServiceUnavailable, "there are %d goroutines; the limit of this profile is %d", n, most)
	}
	if err := headroom.Check(need); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err := profiles.Write(&b, p.Name(), debug == 1)
	return b.Bytes(), err
}

// difference returns what a profile has at the end of d and not at its beginning.
func (s *Server) difference(ctx context.Context, p *pprof.Profile, d time.Duration) ([]byte, error) {
	delta, err := profiles.Delta(func() ([]byte, error) { return take(p, 0) }, func() error { return profiles.Wait(ctx, s.closing, d) })
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = delta.Write(&b)
	return b.Bytes(), err
}

func header(w http.ResponseWriter, file string) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", file))
}

func (s *Server) send(w http.ResponseWriter, name string, body []byte) error {
	header(w, name+".pb.gz")
	return s.sendBody(w, body)
}

// sendBody sends a response. Slow clients together hold at most maxSending bytes.
func (s *Server) sendBody(w http.ResponseWriter, body []byte) error {
	a := s.sending.Open(w, len(body))
	if a == nil {
		w.Header().Del("Content-Disposition")
		return refuse(http.StatusServiceUnavailable, "slow clients hold too many profiles")
	}
	defer a.Close()
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = a.Write(body) // an error means that the client is gone
	return nil
}
