// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"net"
	"time"

	"example.com/corpus/kit"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// grpcStream imitates containerd/containerd#4617 and what the documentation of
// grpc.ClientConn.NewStream warns of: a client takes the first message of a stream
// and neither reads on nor cancels the context.
func grpcStream() kit.Program {
	return kit.Program{Name: "grpc-stream-abandoned", Library: "google.golang.org/grpc", Want: kit.Leak("GET /ready", "google.golang.org/grpc", "heldout.firstStatus"), Run: func(w *kit.World) {
		conn, err := grpc.NewClient(w.Role("backend", nil), grpc.WithTransportCredentials(insecure.NewCredentials()))
		kit.Must(err)
		w.ServeRoute("GET /ready", 3, func(ctx context.Context) { firstStatus(context.WithoutCancel(ctx), conn) })
	}, Roles: map[string]func(*kit.Role){"backend": watchBackend}}
}

func firstStatus(ctx context.Context, conn *grpc.ClientConn) grpc_health_v1.HealthCheckResponse_ServingStatus {
	s, err := grpc_health_v1.NewHealthClient(conn).Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		return grpc_health_v1.HealthCheckResponse_UNKNOWN
	}
	status, err := s.Recv()
	if err != nil {
		return grpc_health_v1.HealthCheckResponse_UNKNOWN
	}
	return status.GetStatus()
}

type watchServer struct {
	grpc_health_v1.UnimplementedHealthServer
}

func (watchServer) Watch(_ *grpc_health_v1.HealthCheckRequest, s grpc_health_v1.Health_WatchServer) error {
	for {
		if err := s.Send(&grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}); err != nil {
			return err
		}
		if !kit.Sleep(s.Context(), time.Minute) {
			return s.Context().Err()
		}
	}
}

func watchBackend(r *kit.Role) {
	s := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(s, watchServer{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	kit.Must(err)
	go func() { _ = s.Serve(l) }()
	r.Say(l.Addr().String())
}
