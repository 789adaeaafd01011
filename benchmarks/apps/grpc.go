// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
)

// echo answers a call with as many bytes as the client asked for.
type echo struct {
	grpc_testing.UnimplementedTestServiceServer
}

func (echo) UnaryCall(_ context.Context, r *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	return &grpc_testing.SimpleResponse{Payload: &grpc_testing.Payload{Body: make([]byte, r.GetResponseSize())}}, nil
}

func serveGRPC(c config) (string, error) {
	var options []grpc.ServerOption
	if c.Spans {
		options = append(options, grpc.StatsHandler(otelgrpc.NewServerHandler()))
	}
	s := grpc.NewServer(options...)
	grpc_testing.RegisterTestServiceServer(s, echo{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go func() { _ = s.Serve(l) }()
	return l.Addr().String(), nil
}

// dialGRPC returns a client with a connection of its own.
func dialGRPC(address string, _ int) (func() (int, error), error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	client := grpc_testing.NewTestServiceClient(conn)
	request := &grpc_testing.SimpleRequest{ResponseSize: 1000, Payload: &grpc_testing.Payload{Body: make([]byte, 200)}}
	return func() (int, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, err := client.UnaryCall(ctx, request)
		return 1, err
	}, nil
}
