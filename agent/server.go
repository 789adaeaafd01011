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

// server is the agent's own listener.
type server struct {
	http     *http.Server
	listener net.Listener
	wg       sync.WaitGroup
}

// listen opens the listener, where the settings let it be open.
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

// bind takes the address. An address that was asked for is taken or refused;
// the default one moves on to the next free port, for two services on one machine.
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
	host, port, err := net.SplitHostPort(s.listen)
	if err != nil {
		return nil, err
	}
	first, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	const tries = 16
	for p := first; p < first+tries; p++ {
		if l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(p))); err == nil {
			warnOfHop(s, l)
			return l, nil
		}
	}
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, fmt.Errorf("agent: no free port on %s: %w; set GMPULSE_LISTEN=off or WithListen(\"off\") and mount Handler yourself", host, err)
	}
	warnOfHop(s, l)
	return l, nil
}

// warnOfHop logs that the agent is not where scrapers and people look for it.
func warnOfHop(s *settings, l net.Listener) {
	if got := l.Addr().String(); got != s.listen {
		s.logger.Warn("gmpulse: the default address is taken, by another agent perhaps; scrapers that ask there get another process: set GMPULSE_LISTEN",
			slog.String("wanted", s.listen), slog.String("got", got))
	}
}

const (
	// idleTimeout is longer than most scrape intervals, so that scrapers may keep
	// their connections.
	idleTimeout = 35 * time.Second
	// maxHeaderBytes has room for the cookies that browsers send to localhost, whatever
	// the port.
	maxHeaderBytes = 32 << 10
)

// serve answers until shutdown.
func serve(l net.Listener, h http.Handler, logger *slog.Logger) *server {
	s := &server{
		listener: l,
		http: &http.Server{
			Handler:           h,
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			WriteTimeout:      30 * time.Second,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			ConnContext:       withConnection,
			ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
			// It would answer OPTIONS * without a look at the token.
			DisableGeneralOptionsHandler: true,
		},
	}
	s.wg.Go(func() { // labelled as the agent's, and so are the goroutines of its connections
		pprof.Do(context.Background(), pprof.Labels(engine.ProfilerLabel, "server"), func(context.Context) {
			if err := s.http.Serve(limit(l)); !errors.Is(err, http.ErrServerClosed) {
				logger.Error("gmpulse: server ended", slog.Any("error", err))
			}
		})
	})
	return s
}

// lastRequests is how long requests under way have to end: a service that ends does
// not wait for those who look at it.
const lastRequests = 2 * time.Second

// shutdown lets requests under way finish for a while, or until ctx is done, then cuts
// them off.
func (s *server) shutdown(ctx context.Context) error {
	patience, cancel := context.WithTimeout(ctx, lastRequests)
	defer cancel()
	var err error
	if s.http.Shutdown(patience) != nil {
		err = s.http.Close()
	}
	if ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	if err != nil {
		err = fmt.Errorf("agent: server: %w", err)
	}
	s.wg.Wait() // Serve returns at once after Shutdown
	return err
}

// url is the address of a page of the server, for people to click on.
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
