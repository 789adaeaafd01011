// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"example.com/corpus/kit"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
)

// health is a gRPC service without generated code of our own: Check is unary, Watch
// is a server stream.
type health struct {
	grpc_health_v1.UnimplementedHealthServer
	check func(ctx context.Context) error
	watch func(s grpc_health_v1.Health_WatchServer) error
}

func (h *health) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	return &grpc_health_v1.HealthCheckResponse{}, h.check(ctx)
}

func (h *health) Watch(_ *grpc_health_v1.HealthCheckRequest, s grpc_health_v1.Health_WatchServer) error {
	return h.watch(s)
}

// serveGRPC serves h, with a root span for each call as otelgrpc has.
func serveGRPC(w *kit.World, h *health) string {
	s := grpc.NewServer(
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 20 * time.Second}),
		grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			ctx, end := w.StartSpan(ctx, info.FullMethod)
			defer end()
			return next(ctx, req)
		}),
		grpc.StreamInterceptor(func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			_, end := w.StartSpan(ss.Context(), info.FullMethod)
			defer end()
			return next(srv, ss)
		}))
	grpc_health_v1.RegisterHealthServer(s, h)
	l := w.Listen()
	go func() { _ = s.Serve(l) }()
	return l.Addr().String()
}

// grpcCalls are clients in a process of their own.
type grpcCalls struct {
	Address string
	Stream  bool
	Rate    kit.Shape
	Session time.Duration // mean
	Dial    bool          // a connection for each call
}

func grpcClients(r *kit.Role) {
	var c grpcCalls
	r.Args(&c)
	r.Say("ok")
	shared := dialGRPC(c.Address)
	r.Arrivals(r.Ctx, c.Rate, func() {
		go func() {
			conn := shared
			if c.Dial {
				conn = dialGRPC(c.Address)
				defer conn.Close() //nolint:errcheck // the session is over
			}
			ctx, cancel := context.WithTimeout(r.Ctx, kit.Around(c.Session))
			defer cancel()
			callGRPC(ctx, conn, c.Stream)
		}()
	})
}

func dialGRPC(address string) *grpc.ClientConn {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	kit.Must(err)
	return conn
}

func callGRPC(ctx context.Context, conn *grpc.ClientConn, stream bool) {
	client := grpc_health_v1.NewHealthClient(conn)
	if !stream {
		_, _ = client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		return
	}
	s, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	for err == nil {
		_, err = s.Recv()
	}
}

// grpcWatch imitates the health service's Watch (grpc/grpc-go health/server.go):
// server streams that wait for a change, over connections of their own, with
// keep-alive. Sessions of 80 s on average.
func grpcWatch() kit.Program {
	return kit.Program{Name: "grpc-watch", Library: "google.golang.org/grpc", Run: func(w *kit.World) {
		address := serveGRPC(w, &health{check: func(context.Context) error { return nil }, watch: func(s grpc_health_v1.Health_WatchServer) error {
			for {
				_ = s.Send(&grpc_health_v1.HealthCheckResponse{})
				if !kit.Sleep(s.Context(), 45*time.Second) {
					return nil
				}
			}
		}})
		w.Role("clients", grpcCalls{Address: address, Stream: true, Rate: kit.Wave(2), Session: 80 * time.Second, Dial: true})
		w.Role("clients", grpcCalls{Address: address, Rate: kit.Wave(10), Session: 5 * time.Second})
	}, Roles: map[string]func(*kit.Role){"clients": grpcClients}}
}

// grpcUnarySlow has unary calls of 30 s over one connection, without spans.
func grpcUnarySlow() kit.Program {
	return kit.Program{Name: "grpc-unary-30s", Library: "google.golang.org/grpc", Spans: kit.None, Run: func(w *kit.World) {
		address := serveGRPC(w, &health{check: func(ctx context.Context) error { kit.Sleep(ctx, 30*time.Second); return nil }})
		w.Role("clients", grpcCalls{Address: address, Rate: kit.Wave(3), Session: 2 * time.Minute})
	}, Roles: map[string]func(*kit.Role){"clients": grpcClients}}
}

// grpcClientStreams is the client's side: a program subscribes for each of its users
// at a backend, a stream of 70 s on average over one connection, and stops when the
// user leaves.
func grpcClientStreams() kit.Program {
	return kit.Program{Name: "grpc-client-streams", Library: "google.golang.org/grpc", Spans: kit.None, Run: func(w *kit.World) {
		conn := dialGRPC(w.Role("backend", nil))
		w.Load(kit.Wave(2), func() {
			ctx, cancel := context.WithCancel(w.Ctx)
			w.Root("user.login", func(context.Context) { go callGRPC(ctx, conn, true) })
			kit.Sleep(w.Ctx, kit.Around(70*time.Second))
			w.Root("user.logout", func(context.Context) { cancel() })
		})
	}, Roles: map[string]func(*kit.Role){"backend": grpcBackend}}
}

// grpcBackend is a server in a process of its own, which sends something every 25 s.
func grpcBackend(r *kit.Role) {
	s := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(s, &health{check: func(context.Context) error { return nil }, watch: func(s grpc_health_v1.Health_WatchServer) error {
		for kit.Sleep(s.Context(), 25*time.Second) {
			_ = s.Send(&grpc_health_v1.HealthCheckResponse{})
		}
		return nil
	}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	kit.Must(err)
	go func() { _ = s.Serve(l) }()
	r.Say(l.Addr().String())
}

// grpcConnPerCall does what the documentation of grpc.ClientConn warns of: a connection for each
// request, never closed.
func grpcConnPerCall() kit.Program {
	return kit.Program{Name: "grpc-conn-per-call", Library: "google.golang.org/grpc", Want: kit.Leak("GET /flags", "google.golang.org/grpc", "programs.askFlags"), Run: func(w *kit.World) {
		address := w.Role("backend", nil)
		mux := http.NewServeMux()
		mux.HandleFunc("/flags", w.Handle("GET /flags", func(rw http.ResponseWriter, r *http.Request) {
			askFlags(r.Context(), address)
			fmt.Fprintln(rw, "on")
		}))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/flags", Rate: kit.Constant(3)})
	}, Roles: map[string]func(*kit.Role){"backend": grpcBackend}}
}

func askFlags(ctx context.Context, address string) { callGRPC(ctx, dialGRPC(address), false) }

// grpcHandlerHangs imitates a deadlock in a server's handler: after half a minute a
// lock is not released on an early return, and every later call waits for it. Calls
// have no deadline (grpc.io, "Deadlines": by default a client waits for ever).
func grpcHandlerHangs() kit.Program {
	const method = "/grpc.health.v1.Health/Check"
	return kit.Program{Name: "grpc-handler-hangs", Library: "google.golang.org/grpc", Want: kit.Hang(method, "programs.(*ledger).book"), Run: func(w *kit.World) {
		var l ledger
		address := serveGRPC(w, &health{check: func(context.Context) error { l.book(time.Since(w.Start) > 30*time.Second); return nil }})
		w.Role("clients", grpcCalls{Address: address, Rate: kit.Constant(4), Session: time.Hour})
	}, Roles: map[string]func(*kit.Role){"clients": grpcClients}}
}

type ledger struct {
	mu     sync.Mutex
	booked int
}

func (l *ledger) book(fails bool) {
	l.mu.Lock()
	l.booked++
	if fails {
		return
	}
	l.mu.Unlock()
}
