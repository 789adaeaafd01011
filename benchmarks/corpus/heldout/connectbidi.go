// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"example.com/corpus/kit"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const deviceSession = "/fleet.v1.Devices/Session"

// connectBidi imitates a service for devices: each keeps a bidirectional stream of Connect over HTTP/2
// for four minutes on average. A device sends a heartbeat every 30 s and the service a command every
// 50 s. A goroutine of each stream receives.
func connectBidi() kit.Program {
	return kit.Program{Name: "connect-bidi", Library: "connectrpc.com/connect", Run: func(w *kit.World) {
		mux := http.NewServeMux()
		w.Harmless(mux)
		mux.Handle(deviceSession, connect.NewBidiStreamHandler(deviceSession, func(ctx context.Context, s *connect.BidiStream[wrapperspb.StringValue, wrapperspb.StringValue]) error {
			ctx, end := w.StartSpan(ctx, deviceSession)
			defer end()
			return serveDevice(ctx, s)
		}))
		p := new(http.Protocols)
		p.SetHTTP1(true)
		p.SetUnencryptedHTTP2(true)
		server := &http.Server{Handler: mux, Protocols: p, ReadHeaderTimeout: time.Minute}
		l := w.Listen()
		go func() { _ = server.Serve(l) }()
		url := "http://" + l.Addr().String()
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Constant(5)})
		w.Role("devices", url)
	}, Roles: map[string]func(*kit.Role){"devices": connectDevices}}
}

func serveDevice(ctx context.Context, s *connect.BidiStream[wrapperspb.StringValue, wrapperspb.StringValue]) error {
	heartbeats := make(chan string)
	done := make(chan error, 1)
	go func() { done <- receiveHeartbeats(ctx, s, heartbeats) }()
	commands := time.NewTicker(50 * time.Second)
	defer commands.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case h := <-heartbeats:
			if err := s.Send(wrapperspb.String("seen " + h)); err != nil {
				return err
			}
		case <-commands.C:
			if err := s.Send(wrapperspb.String("report")); err != nil {
				return err
			}
		}
	}
}

func receiveHeartbeats(ctx context.Context, s *connect.BidiStream[wrapperspb.StringValue, wrapperspb.StringValue], into chan<- string) error {
	for {
		m, err := s.Receive()
		if err != nil {
			return err
		}
		select {
		case into <- m.GetValue():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// connectDevices are devices with a connection each.
func connectDevices(r *kit.Role) {
	var url string
	r.Args(&url)
	r.Say("ok")
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	r.Arrivals(r.Ctx, kit.Wave(0.8), func() {
		go func() {
			transport := &http.Transport{Protocols: p}
			defer transport.CloseIdleConnections()
			ctx, cancel := context.WithTimeout(r.Ctx, kit.Around(4*time.Minute))
			defer cancel()
			client := connect.NewClient[wrapperspb.StringValue, wrapperspb.StringValue](&http.Client{Transport: transport}, url+deviceSession)
			s := client.CallBidiStream(ctx)
			go func() {
				for {
					if _, err := s.Receive(); err != nil {
						return
					}
				}
			}()
			for s.Send(wrapperspb.String("heartbeat")) == nil && kit.Sleep(ctx, 30*time.Second) { //nolint:revive // the condition sends
			}
		}()
	})
}
