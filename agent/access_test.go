// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/agent"
)

const token = "0123456789abcdef"

// ask sends a request that change has modified.
func ask(t *testing.T, method, url string, change func(*http.Request)) (code int, header http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(req)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header
}

func TestLoopbackRefusesForeignHosts(t *testing.T) {
	a, _ := start(t)
	for host, want := range map[string]int{
		"":                      http.StatusOK,
		"localhost":             http.StatusOK,
		"LOCALHOST:9464":        http.StatusOK,
		"app.localhost":         http.StatusOK,
		"127.0.0.1:1":           http.StatusOK,
		"127.9.9.9":             http.StatusOK,
		"[::1]:9464":            http.StatusOK,
		"evil.example":          http.StatusMisdirectedRequest,
		"evil.example:9464":     http.StatusMisdirectedRequest,
		"localhost.evil":        http.StatusMisdirectedRequest,
		"127.0.0.1.evil":        http.StatusMisdirectedRequest,
		"10.0.0.1":              http.StatusMisdirectedRequest,
		"notlocalhost":          http.StatusMisdirectedRequest,
		"0.0.0.0":               http.StatusMisdirectedRequest,
		"[::ffff:10.0.0.1]:123": http.StatusMisdirectedRequest,
	} {
		for _, path := range []string{"debug/gmpulse/", "metrics", "debug/gmpulse/api/v1/meta"} {
			code, _ := ask(t, http.MethodGet, a.URL()+path, func(r *http.Request) { r.Host = host })
			if code != want {
				t.Errorf("%s for host %q: %d, want %d", path, host, code, want)
			}
		}
	}
}

func TestListenerForOtherMachinesNeedsAToken(t *testing.T) {
	_, err := agent.Start(agent.WithListen("0.0.0.0:0"), agent.WithLogger(slog.New(slog.DiscardHandler)))
	for _, fix := range []string{"GMPULSE_TOKEN", "GMPULSE_OPEN", "GMPULSE_INSECURE=true"} {
		if err == nil || !strings.Contains(err.Error(), fix) {
			t.Errorf("the error does not name %s: %v", fix, err)
		}
	}
	for what, bad := range map[string]agent.Access{"16": {Token: "short"}, "line break": {Token: token + "\n"}, "/metrics": {Open: []string{"/"}}} {
		_, err := agent.Start(agent.WithListen("off"), agent.WithAccess(bad), agent.WithLogger(slog.New(slog.DiscardHandler)))
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%+v: error %v", bad, err)
		}
	}
}

// openURL returns a loopback URL of an agent that listens on all interfaces.
func openURL(t *testing.T, a *agent.Agent) string {
	t.Helper()
	_, port, err := net.SplitHostPort(strings.TrimSuffix(strings.TrimPrefix(a.URL(), "http://"), "/"))
	if err != nil {
		t.Fatal(err)
	}
	return "http://127.0.0.1:" + port + "/"
}

func TestAccessOfListenerOnAllInterfaces(t *testing.T) {
	bearer := func(v string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+v) }
	}
	basic := func(v string) func(*http.Request) { return func(r *http.Request) { r.SetBasicAuth("anyone", v) } }
	page, metrics, health := "debug/gmpulse/", "metrics", "healthz"
	tests := []struct {
		name   string
		access agent.Access
		path   string
		send   func(*http.Request)
		want   int
	}{
		{"no token sent", agent.Access{Token: token}, page, nil, 401},
		{"no token sent", agent.Access{Token: token}, "debug/gmpulse/api/v1/stream", nil, 401},
		{"no token sent", agent.Access{Token: token}, metrics, nil, 401},
		{"bearer", agent.Access{Token: token}, page, bearer(token), 200},
		{"bearer", agent.Access{Token: token}, metrics, bearer(token), 200},
		{"bearer in lower case", agent.Access{Token: token}, metrics, func(r *http.Request) { r.Header.Set("Authorization", "bearer "+token) }, 200},
		{"basic", agent.Access{Token: token}, page, basic(token), 200},
		{"wrong bearer", agent.Access{Token: token}, page, bearer(token + "x"), 401},
		{"empty bearer", agent.Access{Token: token}, page, bearer(""), 401},
		{"wrong basic", agent.Access{Token: token}, page, basic(""), 401},
		{"opened", agent.Access{Token: token, Open: []string{"/metrics"}}, metrics, nil, 200},
		{"not opened", agent.Access{Token: token, Open: []string{"/metrics"}}, health, nil, 401},
		{"not opened", agent.Access{Token: token, Open: []string{"/metrics"}}, page, nil, 401},
		{"opened without a token", agent.Access{Open: []string{"/metrics", "/healthz"}}, health, nil, 200},
		{"opened without a token", agent.Access{Open: []string{"/metrics", "/healthz"}}, page, nil, 403},
		{"opened without a token", agent.Access{Open: []string{"/metrics"}}, page, bearer(""), 403},
		{"insecure", agent.Access{Insecure: true}, page, nil, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name+" "+tt.path, func(t *testing.T) {
			a, _ := start(t, agent.WithListen("0.0.0.0:0"), agent.WithAccess(tt.access))
			code, header := ask(t, http.MethodGet, openURL(t, a)+tt.path, tt.send)
			if code != tt.want {
				t.Errorf("%d, want %d", code, tt.want)
			}
			if code == http.StatusUnauthorized && len(header.Values("WWW-Authenticate")) != 2 {
				t.Errorf("challenges %q", header.Values("WWW-Authenticate"))
			}
			stop(t, a)
		})
	}
}

// The token is also required on the loopback address and by Agent.Handler.
func TestTokenOnHandlerAndLoopback(t *testing.T) {
	a, _ := start(t, agent.WithAccess(agent.Access{Token: token}))
	if code, _ := ask(t, http.MethodGet, a.URL()+"debug/gmpulse/", nil); code != http.StatusUnauthorized {
		t.Errorf("loopback answers %d", code)
	}
	if code := serve(t, a.Handler(), "/debug/gmpulse/"); code != http.StatusUnauthorized {
		t.Errorf("the handler answers %d", code)
	}
}

// The agent refuses captures that a page of another site requests.
func TestCapturesRefuseCrossSiteRequests(t *testing.T) {
	a, _ := start(t)
	post := func(change func(*http.Request)) int {
		code, _ := ask(t, http.MethodPost, a.URL()+"debug/gmpulse/api/v1/captures", change)
		return code
	}
	if code := post(func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }); code != http.StatusForbidden {
		t.Errorf("cross-site: %d", code)
	}
	if code := post(func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }); code != http.StatusForbidden {
		t.Errorf("foreign origin: %d", code)
	}
	if code := post(nil); code != http.StatusNotImplemented {
		t.Errorf("same site: %d, want 501, because captures are off", code)
	}
}

// fromHere returns a request of a client on this machine.
func fromHere(method, path string) *http.Request {
	r := httptest.NewRequest(method, path, http.NoBody)
	r.Host, r.RemoteAddr = "localhost:8080", "127.0.0.1:40000"
	return r
}

func serve(t *testing.T, h http.Handler, path string) int {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, http.NoBody))
	return w.Code
}

// Agent.Handler admits only requests from this machine, unless Access allows more.
func TestAccessOfHandler(t *testing.T) {
	remote := func(r *http.Request) { r.RemoteAddr = "10.1.2.3:40000" }
	foreign := func(r *http.Request) { r.Host = "evil.example" }
	forwarded := func(r *http.Request) { r.Header.Set("X-Forwarded-For", "10.1.2.3") }
	nginx := func(r *http.Request) { r.Proto, r.ProtoMinor = "HTTP/1.0", 0 }
	unknown := func(r *http.Request) { r.RemoteAddr = "@" }
	ipv6 := func(r *http.Request) { r.RemoteAddr, r.Host = "[::1]:40000", "[::1]:8080" }
	bearer := func(r *http.Request) { remote(r); foreign(r); r.Header.Set("Authorization", "Bearer "+token) }
	const page, captures, metrics = "GET /debug/gmpulse/", "POST /debug/gmpulse/api/v1/captures", "GET /metrics"
	withToken, opened, insecure := agent.Access{Token: token}, agent.Access{Open: []string{"/metrics"}}, agent.Access{Insecure: true}
	tests := []struct {
		name   string
		access agent.Access
		ask    string
		change func(*http.Request)
		want   int
	}{
		{"from here", agent.Access{}, page, nil, 200},
		{"from here", agent.Access{}, captures, nil, 501}, // captures are off
		{"from here, IPv6", agent.Access{}, page, ipv6, 200},
		{"remote", agent.Access{}, page, remote, 403},
		{"remote", agent.Access{}, captures, remote, 403},
		{"remote", agent.Access{}, metrics, remote, 403},
		{"by a proxy", agent.Access{}, page, forwarded, 403},
		{"by nginx with its defaults", agent.Access{}, page, nginx, 403},
		{"by nginx with its defaults", agent.Access{}, captures, nginx, 403},
		{"by a Unix socket", agent.Access{}, page, unknown, 403},
		{"a foreign host", agent.Access{}, page, foreign, 421},
		{"a foreign host", agent.Access{}, captures, foreign, 421},
		{"remote, opened", opened, metrics, remote, 200},
		{"remote, opened", opened, page, remote, 403},
		{"remote with a token", withToken, page, bearer, 200},
		{"from here without the token", withToken, page, nil, 401},
		{"remote, insecure", insecure, captures, remote, 501},
		{"a foreign host, insecure", insecure, page, foreign, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name+" "+tt.ask, func(t *testing.T) {
			a, _ := start(t, agent.WithListen("off"), agent.WithAccess(tt.access))
			method, path, _ := strings.Cut(tt.ask, " ")
			r := fromHere(method, path)
			if tt.change != nil {
				tt.change(r)
			}
			w := httptest.NewRecorder()
			a.Handler().ServeHTTP(w, r)
			if w.Code != tt.want {
				t.Errorf("%d, want %d: %.200s", w.Code, tt.want, w.Body)
			}
			stop(t, a)
		})
	}
}

// The handler logs a warning only for the first request that it refuses.
func TestHandlerWarnsOnce(t *testing.T) {
	a, log := start(t, agent.WithListen("off"))
	for range 3 {
		if code := serve(t, a.Handler(), "/debug/gmpulse/"); code != http.StatusForbidden {
			t.Errorf("%d", code)
		}
	}
	for _, want := range []string{"level=WARN", "GMPULSE_TOKEN", "GMPULSE_OPEN", "GMPULSE_INSECURE"} {
		if n := strings.Count(log.String(), want); n != 1 {
			t.Errorf("%d lines have %s, want 1:\n%s", n, want, log)
		}
	}
}
