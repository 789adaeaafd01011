package agent

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Access says who may ask the agent's server. The zero value is for the loopback
// address: whoever is on this machine.
type Access struct {
	// Token is what a request must carry: "Authorization: Bearer TOKEN", or, for
	// browsers, TOKEN as the password of basic authentication with any user. At
	// least 16 printable ASCII characters without a space. Empty: nobody is asked for one, and there is no
	// listener beyond the loopback address.
	Token string
	// Open are paths that anybody may have without a token: "/metrics" and
	// "/healthz" for scrapers and probes, or either. With these and without a
	// Token, a listener beyond the loopback address serves them and nothing else.
	Open []string
	// Insecure lets a listener beyond the loopback address serve everything to
	// everybody.
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
			errs = append(errs, fmt.Errorf("agent: GMPULSE_OPEN or Access.Open names %q: want %s", p, strings.Join(openable(), " or ")))
		}
	}
	return errors.Join(errs...)
}

// allows says whether a listener at an address may be opened at all.
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

// protect lets through what may be asked for.
func (a *Access) protect(next http.Handler) http.Handler {
	if a.Token == "" {
		return next
	}
	want := sha256.Sum256([]byte(a.Token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains(a.Open, r.URL.Path) || knows(r, want) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Add("WWW-Authenticate", `Bearer realm="gmpulse"`)
		w.Header().Add("WWW-Authenticate", `Basic realm="gmpulse: the password is the token", charset="UTF-8"`)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.Error(w, "the token of GMPULSE_TOKEN is needed", http.StatusUnauthorized)
	})
}

// knows tells whether a request carries the token. Digests are compared, so that
// the time it takes says nothing of the token, its length included.
func knows(r *http.Request, want [sha256.Size]byte) bool {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	ok = ok && strings.EqualFold(scheme, "Bearer")
	if _, password, basic := r.BasicAuth(); basic {
		token, ok = password, true
	}
	got := sha256.Sum256([]byte(token))
	return ok && subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// guard is protect for the agent's own listener.
func (a *Access) guard(addr net.Addr, next http.Handler) http.Handler {
	if isLoopback(addr) {
		return localHostsOnly(a.protect(next))
	}
	if a.Token != "" || a.Insecure {
		return a.protect(next)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains(a.Open, r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		http.Error(w, "closed: no token is set", http.StatusForbidden)
	})
}

// localHostsOnly refuses requests for a host that is not this one. A page that
// somebody's browser has open can let a name of its own point to the loopback
// address (DNS rebinding): the browser then takes what we serve for that page's.
func localHostsOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLocalHost(r.Host) {
			http.Error(w, "this server answers for localhost only", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
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
