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
// value admits requests from the loopback address, for localhost, that no proxy has
// forwarded.
type Access struct {
	// Token is what a request must carry: "Authorization: Bearer TOKEN", or, for
	// browsers, TOKEN as the password of basic authentication with any user. At
	// least 16 printable ASCII characters without a space. Empty: requests from this
	// machine need none, and all others are refused.
	Token string
	// Open are paths that are served without a token: "/metrics" and
	// "/healthz" for scrapers and probes, or either. With these and without a
	// Token, a listener beyond the loopback address serves others nothing else.
	Open []string
	// Insecure serves everything to everybody: on a listener beyond the loopback
	// address, and through [Agent.Handler].
	Insecure bool
}

const minToken = 16

// openable are the paths that Open may name.
func openable() []string { return []string{"/metrics", "/healthz"} }

func (a *Access) validate() error {
	var errs []error
	if a.Token != "" && len(a.Token) < minToken {
		errs = append(errs, fmt.Errorf("agent: GMPULSE_TOKEN or Access.Token has %d characters: want at least %d, such as the output of openssl rand -hex 16", len(a.Token), minToken))
	}
	if strings.ContainsFunc(a.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		errs = append(errs, errors.New("agent: GMPULSE_TOKEN or Access.Token has a space, a line break or a character beyond ASCII, which no request can be relied on to carry: one that was read from a file may end with a line break"))
	}
	for _, p := range a.Open {
		if !slices.Contains(openable(), p) {
			errs = append(errs, fmt.Errorf("agent: GMPULSE_OPEN or Access.Open names %q: want %s", redact.URL(p), strings.Join(openable(), " or ")))
		}
	}
	return errors.Join(errs...)
}

// allows returns an error if a listener at an address must not be opened.
func (a *Access) allows(addr net.Addr) error {
	if isLoopback(addr) || a.Token != "" || a.Insecure || len(a.Open) > 0 {
		return nil
	}
	return fmt.Errorf("agent: %v is open to others and there is no token: set GMPULSE_TOKEN to at least %d characters, "+
		"or GMPULSE_OPEN=metrics,healthz to serve these two only, or GMPULSE_INSECURE=true to serve everything to everybody", addr, minToken)
}

func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// admission is the decision on a request.
type admission struct {
	code    int    // 0 lets it through
	text    string // why not
	trusted bool   // it may see everything, not only what is open to anybody
}

// admit decides on a request. local says that it comes from this machine.
func (a *Access) admit(r *http.Request, local bool) admission {
	isOpen := slices.Contains(a.Open, r.URL.Path)
	switch {
	case a.Token != "" && a.knows(r), a.Token == "" && a.Insecure:
		return admission{trusted: true}
	case a.Token == "" && local && isLocalHost(r.Host):
		return admission{trusted: true}
	case isOpen:
		return admission{}
	case a.Token != "":
		return admission{code: http.StatusUnauthorized, text: "the token of GMPULSE_TOKEN is needed"}
	case local:
		return foreignHost()
	default:
		return admission{code: http.StatusForbidden, text: "gmpulse has no token and answers this machine only: set GMPULSE_TOKEN, or GMPULSE_OPEN=metrics,healthz for these two, or GMPULSE_INSECURE=true"}
	}
}

// foreignHost refuses a request for a host that is not this one. A page that a browser has
// open can let its own name point to the loopback address (DNS rebinding): the browser
// would then treat our answers as parts of that page.
func foreignHost() admission {
	return admission{code: http.StatusMisdirectedRequest, text: "this server answers for localhost only"}
}

// refuse answers a request that is not let through.
func (d admission) refuse(w http.ResponseWriter) {
	if d.code == http.StatusUnauthorized {
		w.Header().Add("WWW-Authenticate", `Bearer realm="gmpulse"`)
		w.Header().Add("WWW-Authenticate", `Basic realm="gmpulse: the password is the token", charset="UTF-8"`)
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.Error(w, d.text, d.code)
}

// guard protects the agent's own listener. Connections of clients that are refused
// are closed.
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
			whileBusy(next, w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// protect protects the handler that applications mount in servers of their own. The
// first refusal for want of a token is logged.
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
				logger.Warn("gmpulse: Handler refuses requests that do not come from this machine, because there is no token; set GMPULSE_TOKEN, or GMPULSE_OPEN=metrics,healthz to serve these two, or GMPULSE_INSECURE=true to serve everything to everybody",
					slog.String("path", r.URL.Path), slog.String("from", r.RemoteAddr))
			})
		}
		d.refuse(w)
	})
}

// isFromHere reports whether the client of a request is on this machine. What a proxy
// forwards comes from elsewhere.
func isFromHere(r *http.Request) bool {
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}

// knows reports whether a request carries the token. Digests are compared, so that
// the time it takes says nothing of the token, its length included.
func (a *Access) knows(r *http.Request) bool {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	ok = ok && strings.EqualFold(scheme, "Bearer")
	if _, password, basic := r.BasicAuth(); basic {
		token, ok = password, true
	}
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(a.Token))
	return ok && subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// isLocalHost knows the names of the loopback address. HTTP/1.0 clients, which
// no browser is, name no host.
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
