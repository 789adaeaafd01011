// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/pprof"
	"strconv"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/agent/engine"
)

// server is the agent's HTTP server.
type server struct {
	http     *http.Server
	listener net.Listener
	wg       sync.WaitGroup
}

// listen opens the listener. It returns an error if other machines can reach it and the
// settings do not allow that.
func listen(s *settings) (net.Listener, error) {
	l, err := bind(s)
	if err != nil {
		return nil, err
	}
	if err := s.access.allows(l.Addr()); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// bind listens on the configured address. If the address is the default one and in use, bind
// uses the next free port, so that several services can run on one machine.
func bind(s *settings) (net.Listener, error) {
	var lc net.ListenConfig
	ctx := context.Background() // binding a socket does not block
	if s.listenFixed {
		l, err := lc.Listen(ctx, "tcp", s.listen)
		if err != nil {
			return nil, fmt.Errorf("agent: cannot listen on %s: %w; set GMPULSE_LISTEN or WithListen to a free address, to port 0 for any free port, or to off", s.listen, err)
		}
		return l, nil
	}
	const tries = 16
	for i := range tries {
		if l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(defaultHost, strconv.Itoa(defaultPort+i))); err == nil {
			warnOtherPort(s, l)
			return l, nil
		}
	}
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(defaultHost, "0"))
	if err != nil {
		return nil, fmt.Errorf("agent: no free port on %s: %w; set GMPULSE_LISTEN=off or WithListen(\"off\") and mount Agent.Handler in your own server", defaultHost, err)
	}
	warnOtherPort(s, l)
	return l, nil
}

// warnOtherPort logs a warning if the agent does not listen on the default address.
func warnOtherPort(s *settings, l net.Listener) {
	if got := l.Addr().String(); got != s.listen {
		s.logger.Warn("gmpulse: the default address is in use, perhaps by another agent, so the agent listens on another one; set GMPULSE_LISTEN",
			slog.String("wanted", s.listen), slog.String("got", got))
	}
}

const (
	// idleTimeout is longer than most scrape intervals, so that scrapers can reuse their
	// connections.
	idleTimeout = 35 * time.Second
	// maxHeaderBytes has room for cookies: a browser sends the cookies of all servers on
	// localhost.
	maxHeaderBytes = 32 << 10
)

// serve starts a server on l.
func serve(l net.Listener, h http.Handler, logger *slog.Logger) *server {
	s := &server{listener: l, http: newHTTPServer(h, logger)}
	s.wg.Go(func() {
		// The goroutines of connections inherit the label.
		pprof.Do(context.Background(), pprof.Labels(engine.ProfilerLabel, "server"), func(context.Context) {
			if err := s.http.Serve(limit(l, connectionLimit(fileLimit()))); !errors.Is(err, http.ErrServerClosed) {
				logger.Error("gmpulse: the server has stopped", slog.Any("error", err))
			}
		})
	})
	return s
}

func newHTTPServer(h http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnContext:       withConnection,
		ConnState:         onState,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		// The general handler would answer OPTIONS * without a token.
		DisableGeneralOptionsHandler: true,
	}
}

// shutdownTimeout limits how long shutdown waits for requests in progress.
const shutdownTimeout = 2 * time.Second

// shutdown waits for requests in progress until shutdownTimeout has passed or ctx is done,
// then closes their connections.
func (s *server) shutdown(ctx context.Context) error {
	graceful, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	var err error
	if s.http.Shutdown(graceful) != nil {
		err = s.http.Close()
	}
	if ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	if err != nil {
		err = fmt.Errorf("agent: server: %w", err)
	}
	s.wg.Wait() // Serve returns immediately after Shutdown
	return err
}

// url returns the address of a page of the server.
func (s *server) url(path string) string {
	host, port, err := net.SplitHostPort(s.listener.Addr().String())
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port) + path
}
