// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/gmpulse/gmpulse/internal/redact"
)

// Access configures which clients the agent's server and [Agent.Handler] answer. The zero
// value admits only requests from this machine: their client has a loopback address, their
// Host is localhost or a loopback address, and no proxy has forwarded them.
type Access struct {
	// Token is the token that requests must carry, as "Authorization: Bearer TOKEN" or, for
	// browsers, as the password of basic authentication with any user name. It has at least
	// 16 printable ASCII characters and no space. If it is empty, requests from this machine
	// need no token and all others are refused.
	Token string
	// Open lists paths that need no token: "/metrics" and "/healthz", for scrapers and
	// probes. If Token is empty, clients on other machines get only these paths. Default none.
	Open []string
	// Insecure admits every client to every path, on a listener that other machines can
	// reach and through [Agent.Handler]. It has no effect if Token is set. Default false.
	Insecure bool
}

const minToken = 16

// openable returns the paths that Open may list.
func openable() []string { return []string{"/metrics", "/healthz"} }

func (a *Access) validate() error {
	var errs []error
	if a.Token != "" && len(a.Token) < minToken {
		errs = append(errs, fmt.Errorf("agent: GMPULSE_TOKEN or Access.Token has %d characters: want at least %d, such as the output of openssl rand -hex 16", len(a.Token), minToken))
	}
	if strings.ContainsFunc(a.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		errs = append(errs, errors.New("agent: GMPULSE_TOKEN or Access.Token has a space, a line break or a non-ASCII character, which clients may not be able to send; a token read from a file may end with a line break"))
	}
	for _, p := range a.Open {
		if !slices.Contains(openable(), p) {
			errs = append(errs, fmt.Errorf("agent: GMPULSE_OPEN or Access.Open has %q: want %s", redact.URL(p), strings.Join(openable(), " or ")))
		}
	}
	return errors.Join(errs...)
}

// allows returns an error if the agent must not listen on addr.
func (a *Access) allows(addr net.Addr) error {
	if isLoopback(addr) || a.Token != "" || a.Insecure || len(a.Open) > 0 {
		return nil
	}
	return fmt.Errorf("agent: other machines can reach %v and there is no token: set GMPULSE_TOKEN to at least %d characters, "+
		"or GMPULSE_OPEN=metrics,healthz to serve only these two, or GMPULSE_INSECURE=true to serve everything to every client", addr, minToken)
}

func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// admission is the decision on a request.
type admission struct {
	code    int    // the status of the refusal; 0 if the request is admitted
	text    string // the reason of the refusal
	trusted bool   // the client may see all paths, not only those in Access.Open
}

// admit decides on a request. local reports whether its client is on this machine.
func (a *Access) admit(r *http.Request, local bool) admission {
	isOpen := slices.Contains(a.Open, r.URL.Path)
	switch {
	case a.Token != "" && a.hasToken(r), a.Token == "" && a.Insecure:
		return admission{trusted: true}
	case a.Token == "" && local && isLocalHost(r.Host):
		return admission{trusted: true}
	case isOpen:
		return admission{}
	case a.Token != "":
		return admission{code: http.StatusUnauthorized, text: "this path requires the token of GMPULSE_TOKEN"}
	case local:
		return foreignHost()
	default:
		return admission{code: http.StatusForbidden, text: "gmpulse has no token and answers only requests from this machine: set GMPULSE_TOKEN, or GMPULSE_OPEN=metrics,healthz for these two, or GMPULSE_INSECURE=true"}
	}
}

// foreignHost refuses a request whose Host is not this machine. It prevents DNS rebinding: a
// web page can resolve its own name to the loopback address, so that the browser treats the
// agent's responses as part of that page.
func foreignHost() admission {
	return admission{code: http.StatusMisdirectedRequest, text: "this server answers only requests for localhost"}
}

// refuse writes the response to a request that was not admitted.
func (d admission) refuse(w http.ResponseWriter) {
	if d.code == http.StatusUnauthorized {
		w.Header().Add("WWW-Authenticate", `Bearer realm="gmpulse"`)
		w.Header().Add("WWW-Authenticate", `Basic realm="gmpulse: the password is the token", charset="UTF-8"`)
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.Error(w, d.text, d.code)
}

// guard returns the handler of the agent's server. It closes the connection of a client that
// it refuses.
func (a *Access) guard(addr net.Addr, next http.Handler) http.Handler {
	local := isLoopback(addr)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := a.admit(r, local)
		if local && !isLocalHost(r.Host) {
			d = foreignHost()
		}
		switch {
		case d.code != 0:
			w.Header().Set("Connection", "close")
			d.refuse(w)
		case d.trusted:
			markBusy(r)
			next.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// protect returns the handler that applications mount in their own server. It logs the first
// refusal if there is no token.
func (a *Access) protect(next http.Handler, logger *slog.Logger) http.Handler {
	var once sync.Once
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := a.admit(r, isFromHere(r))
		if d.code == 0 {
			next.ServeHTTP(w, r)
			return
		}
		if a.Token == "" {
			once.Do(func() {
				logger.Warn("gmpulse: Handler refuses requests from other machines, because there is no token; set GMPULSE_TOKEN, or GMPULSE_OPEN=metrics,healthz to serve these two, or GMPULSE_INSECURE=true to serve everything to every client",
					slog.String("path", r.URL.Path), slog.String("from", r.RemoteAddr))
			})
		}
		d.refuse(w)
	})
}

// isFromHere reports whether the client of a request is on this machine. A request that a
// proxy has forwarded counts as one from another machine. By default, nginx adds no header and
// replaces the Host by its upstream's address, but it speaks HTTP/1.0 (seen with 1.22), which
// browsers, curl and Prometheus do not.
func isFromHere(r *http.Request) bool {
	if !r.ProtoAtLeast(1, 1) {
		return false
	}
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}

// hasToken reports whether a request carries the token. It compares digests, so that its
// duration reveals neither the token nor its length.
func (a *Access) hasToken(r *http.Request) bool {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	ok = ok && strings.EqualFold(scheme, "Bearer")
	if _, password, basic := r.BasicAuth(); basic {
		token, ok = password, true
	}
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(a.Token))
	return ok && subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// isLocalHost reports whether host is a name of the loopback address, or empty. Only
// HTTP/1.0 clients send no Host, and browsers are not among them.
func isLocalHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
