// SPDX-License-Identifier: Apache-2.0

// Package forward is a server for the message mode of Fluentd's Forward protocol. It
// discards every record and acknowledges those whose client requests it.
package forward

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"github.com/tinylib/msgp/msgp"
)

// Server listens until Close. Make one with [Listen].
type Server struct {
	listener net.Listener
	wg       sync.WaitGroup
	records  atomic.Uint64

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

// Listen starts a server on a TCP address. Port 0 selects a free port.
func Listen(address string) (*Server, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	s := &Server{listener: l, conns: map[net.Conn]struct{}{}}
	s.wg.Go(s.accept)
	return s, nil
}

// Address returns the server's address.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Records returns the number of received records.
func (s *Server) Records() uint64 { return s.records.Load() }

// Close closes the listener and all connections, and waits for their goroutines.
func (s *Server) Close() error {
	err := s.listener.Close()
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		err = errors.Join(err, c.Close())
	}
	s.mu.Unlock()
	s.wg.Wait()
	return err
}

func (s *Server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		if !s.enter(c) {
			_ = c.Close() // the server is closed
			return
		}
		s.wg.Go(func() {
			s.serve(c)
			s.leave(c)
		})
	}
}

func (s *Server) enter(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.conns[c] = struct{}{}
	}
	return !s.closed
}

func (s *Server) leave(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if !s.closed {
		_ = c.Close() // the client has closed its side
	}
}

// serve reads messages of the form [tag, time, record, options].
func (s *Server) serve(c net.Conn) {
	r := msgp.NewReader(c)
	for {
		n, err := r.ReadArrayHeader()
		if err != nil {
			return
		}
		for range 3 {
			if r.Skip() != nil {
				return
			}
		}
		s.records.Add(1)
		if n < 4 {
			continue
		}
		options, err := r.ReadIntf()
		if err != nil {
			return
		}
		asked, isMap := options.(map[string]any)
		chunk, hasChunk := asked["chunk"].(string)
		if !isMap || !hasChunk {
			continue
		}
		if _, err := c.Write(msgp.AppendString([]byte("\x81\xa3ack"), chunk)); err != nil {
			return
		}
	}
}
