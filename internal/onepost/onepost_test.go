// SPDX-License-Identifier: Apache-2.0

package onepost_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gmpulse/gmpulse/internal/onepost"
)

// TestMain starts a proxy and sets it in the environment, which net/http reads once.
func TestMain(m *testing.M) {
	proxy := httptest.NewServer(http.HandlerFunc(serveProxy))
	address := strings.Replace(proxy.URL, "http://", "http://me:s3cret@", 1)
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY"} {
		if err := os.Setenv(name, address); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

// serveProxy answers requests itself, and connects every CONNECT to the server in the header X-Test-To,
// whose address is the port of the request.
func serveProxy(w http.ResponseWriter, r *http.Request) {
	if user, password, _ := parseProxyAuth(r); user != "me" || password != "s3cret" {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	if r.Method != http.MethodConnect {
		_, _ = io.WriteString(w, "the proxy got "+r.RequestURI+" for "+r.Host)
		return
	}
	_, port, _ := net.SplitHostPort(r.RequestURI)
	to, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", "127.0.0.1:"+port)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer to.Close()
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { _, _ = io.Copy(to, conn); to.Close() }()
	_, _ = io.Copy(conn, to)
}

func parseProxyAuth(r *http.Request) (user, password string, ok bool) {
	return (&http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}).BasicAuth()
}

// post sends a request and returns the status and the body of the answer.
func post(t *testing.T, c *onepost.Client, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// echo answers with what it received.
func echo(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	body, _ := io.ReadAll(r.Body)
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, strings.Join([]string{r.Method, r.RequestURI, user, password, r.Header.Get("Proxy-Authorization"), string(body)}, " "))
}

func TestPost(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(echo))
	defer plain.Close()
	secure := httptest.NewTLSServer(http.HandlerFunc(echo))
	defer secure.Close()
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	c := &onepost.Client{TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	_, port, err := net.SplitHostPort(secure.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		url, want string
		status    int
	}{
		{strings.Replace(plain.URL, "://", "://user:pass@", 1) + "/a/b?c=d", "POST /a/b?c=d user pass  hello", 202},
		{secure.URL + "/", "POST /    hello", 202},
		{"http://backend.test/a?b=c", "the proxy got http://backend.test/a?b=c for backend.test", 200},
		{"https://example.com:" + port + "/x", "POST /x    hello", 202}, // through the proxy, which does not see the request
	} {
		if status, body := post(t, c, test.url, "hello"); body != test.want || status != test.status {
			t.Errorf("%s: %d %q, want %q", test.url, status, body, test.want)
		}
	}
}

func TestLargeAnswerIsCut(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 64<<10+100))
	}))
	defer s.Close()
	if _, body := post(t, &onepost.Client{}, s.URL, ""); len(body) != 64<<10 {
		t.Errorf("%d bytes", len(body))
	}
}

// Errors name the host and neither the path nor the password, and a request ends with its context.
func TestErrors(t *testing.T) {
	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else the server does not see that the client is gone
		<-r.Context().Done()
	}))
	defer hang.Close()
	secure := httptest.NewTLSServer(http.HandlerFunc(echo))
	secure.Config.ErrorLog = nil
	defer secure.Close()
	closed := httptest.NewServer(http.HandlerFunc(echo))
	closed.Close()
	for name, test := range map[string]struct {
		url  string
		want string
	}{
		"hangs":               {hang.URL, context.DeadlineExceeded.Error()},
		"refuses":             {closed.URL, "connection refused"},
		"unknown certificate": {secure.URL, "certificate"},
		"not HTTP":            {strings.Replace(secure.URL, "https", "http", 1), "400"},
	} {
		t.Run(name, func(t *testing.T) {
			limit := 20 * time.Second
			if name == "hangs" {
				limit = 300 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.Replace(test.url, "://", "://me:s3cret@", 1)+"/path-s3cret?key=s3cret", strings.NewReader("x"))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := (&onepost.Client{}).Do(req)
			if err == nil {
				defer resp.Body.Close()
				err = errors.New(resp.Status)
			}
			if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}
