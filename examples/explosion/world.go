package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
)

// world is what the requests of one kind share: upstreams, a lock, a budget.
type world struct {
	root     string // name of the root span of every request
	tracer   trace.Tracer
	upstream *httptest.Server // answers with a body that goes on for ever
	silent   net.Listener     // takes connections and says nothing
	cache    *redis           // answers as late as the kind says
	client   *http.Client
	lock     sync.Mutex
	started  time.Time

	mu    sync.Mutex
	conns []net.Conn // kept, so that they are not collected
}

// A world lives as long as the program: closing what leaks is not its business.
func newWorld(ctx context.Context, k *kind) (*world, error) {
	w := &world{
		root: k.root, tracer: otel.Tracer("explosion"), started: time.Now(),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}},
		upstream: httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/quick" {
				_, _ = io.WriteString(w, "ok") // the client may be gone
				return
			}
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})),
	}
	var err error
	if w.silent, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	go w.accept()
	w.cache, err = newRedis(ctx, func() time.Duration {
		if k.late == nil {
			return 0
		}
		return k.late(time.Since(w.started))
	})
	return w, err
}

func (w *world) accept() {
	for {
		c, err := w.silent.Accept()
		if err != nil {
			return
		}
		w.keep(c)
	}
}

func (w *world) keep(c net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns = append(w.conns, c)
}

// request runs f under a root span, as a server's middleware does, or under none.
func (w *world) request(ctx context.Context, f func(ctx context.Context, w *world)) {
	if w.root == "" {
		f(ctx, w)
		return
	}
	ctx, span := w.tracer.Start(ctx, w.root)
	defer span.End()
	f(ctx, w)
}

// load starts requests at a rate that may change with time, each on a goroutine
// of its own, at most 3,000 under way, until ctx is done.
func load(ctx context.Context, perSecond func(elapsed time.Duration) float64, f func()) {
	slots := make(chan struct{}, 3000)
	start := time.Now()
	for {
		wait := time.Duration(float64(time.Second) / max(perSecond(time.Since(start)), 0.1))
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		select {
		case slots <- struct{}{}:
			go func() {
				defer func() { <-slots }()
				f()
			}()
		default: // as many as the example may have
		}
	}
}
