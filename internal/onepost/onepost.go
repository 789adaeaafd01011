// SPDX-License-Identifier: Apache-2.0

// Package onepost sends HTTP requests that are minutes apart, each over a connection of its own. It
// adds 82 KB to the binary of a program that links the agent; [http.Client] would add 446 KB.
package onepost

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// maxBody is how many bytes of an answer are read.
const maxBody = 64 << 10

// defaultTimeout limits a request whose context has no deadline.
const defaultTimeout = 30 * time.Second

// Client sends requests by HTTP/1.1. The zero value is ready to use. It uses the proxy that the
// environment sets, like [http.ProxyFromEnvironment], and follows no redirects, which would turn a POST
// into a GET. Its methods are safe for concurrent use.
type Client struct {
	// TLS configures https. Default (nil): the certificates of the system.
	TLS *tls.Config
}

// NewRequest returns a request that posts body to an address.
func NewRequest(ctx context.Context, to, contentType string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the address is malformed") // err has the address, which may be secret
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", "gmpulse")
	return req, nil
}

// Do sends a request and returns the answer, whose body is in memory and need not be closed. Body is cut
// at 64 KB. Errors contain only the host of the address: the path of a webhook is a secret.
func (c *Client) Do(req *http.Request) (*http.Response, error) {
	resp, err := c.do(req)
	if err != nil {
		return nil, fmt.Errorf("%s %s://%s: %w", req.Method, req.URL.Scheme, req.URL.Host, err)
	}
	return resp, nil
}

func (c *Client) do(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(req.Context(), defaultTimeout)
	defer cancel()
	req = req.Clone(ctx)
	req.Close = true
	proxy, err := http.ProxyFromEnvironment(req)
	if err != nil {
		return nil, errors.New("the address of the proxy in the environment is malformed")
	}
	if proxy != nil && proxy.Scheme != "http" {
		return nil, fmt.Errorf("a proxy with the scheme %s is not supported; want http", proxy.Scheme)
	}
	var d net.Dialer
	dialed, err := d.DialContext(ctx, "tcp", address(cmp.Or(proxy, req.URL)))
	if err != nil {
		return nil, err
	}
	defer dialed.Close()
	stop := context.AfterFunc(ctx, func() { dialed.Close() })
	defer stop()
	conn, err := c.secure(ctx, dialed, req.URL, proxy)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if u := req.URL.User; u != nil && req.Header.Get("Authorization") == "" {
		password, _ := u.Password()
		req.SetBasicAuth(u.Username(), password)
	}
	write := req.Write
	if proxy != nil && req.URL.Scheme == "http" {
		setProxyAuthorization(req.Header, proxy)
		write = req.WriteProxy
	}
	resp, err := exchange(conn, req, write)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return nil, cause
	}
	return resp, err
}

// secure returns a connection to the server of u, which uses TLS if u demands it. conn is a connection to
// the proxy or, if proxy is nil, to the server.
func (c *Client) secure(ctx context.Context, conn net.Conn, u, proxy *url.URL) (net.Conn, error) {
	if u.Scheme != "https" {
		return conn, nil
	}
	if proxy != nil {
		if err := tunnel(conn, u, proxy); err != nil {
			return nil, err
		}
	}
	config := c.TLS.Clone()
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	config.ServerName = cmp.Or(config.ServerName, u.Hostname())
	t := tls.Client(conn, config)
	return t, t.HandshakeContext(ctx)
}

// tunnel asks a proxy to connect to the server of u.
func tunnel(conn net.Conn, u, proxy *url.URL) error {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address(u)}, Host: address(u), Header: http.Header{}}
	setProxyAuthorization(req.Header, proxy)
	if err := req.Write(conn); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req) //nolint:bodyclose // the answer to CONNECT has no body, and any other closes conn
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the proxy answers %s", resp.Status)
	}
	return nil
}

// setProxyAuthorization sets the user and password of a proxy, if it has any.
func setProxyAuthorization(h http.Header, proxy *url.URL) {
	if proxy == nil || proxy.User == nil {
		return
	}
	password, _ := proxy.User.Password()
	h.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(proxy.User.Username()+":"+password)))
}

// address returns the host and port of u.
func address(u *url.URL) string {
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// exchange writes a request and reads the answer, which may come before the end of the request.
func exchange(conn net.Conn, req *http.Request, write func(io.Writer) error) (*http.Response, error) {
	failed := write(conn)
	r := bufio.NewReader(io.LimitReader(conn, 2*maxBody)) // the header is limited too
	for {
		resp, err := http.ReadResponse(r, req)
		if err != nil {
			return nil, cmp.Or(failed, err)
		}
		if resp.StatusCode < http.StatusOK {
			continue // 100 Continue and the like
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
		if err != nil {
			return nil, err
		}
		resp.Body = io.NopCloser(bytes.NewReader(body))
		return resp, nil
	}
}
