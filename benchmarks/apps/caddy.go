// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy" // registers the handler
)

// newUpstream starts the server behind Caddy. It answers every request with 2 KB.
func newUpstream() *httptest.Server {
	body := bytes.Repeat([]byte("gmpulse "), 256)
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(body) // the proxy reports a failure
	}))
}

// serveCaddy starts Caddy as a reverse proxy.
func serveCaddy(c config) (string, error) {
	address, err := freeAddress()
	if err != nil {
		return "", err
	}
	settings, err := json.Marshal(caddySettings(address, c.Upstream))
	if err != nil {
		return "", err
	}
	return address, caddy.Load(settings, false)
}

// object is a JSON object.
type object = map[string]any

// caddySettings returns Caddy's configuration, without its admin server and its log.
func caddySettings(address, upstream string) object {
	proxy := object{"handler": "reverse_proxy", "upstreams": []object{{"dial": upstream}}}
	server := object{
		"listen":          []string{address},
		"automatic_https": object{"disable": true},
		"routes":          []object{{"handle": []object{proxy}}},
	}
	return object{
		"admin":   object{"disabled": true, "config": object{"persist": false}},
		"logging": object{"logs": object{"default": object{"writer": object{"output": "discard"}}}},
		"apps":    object{"http": object{"servers": object{"proxy": server}}},
	}
}

// freeAddress returns an address of this machine that was free a moment ago. Caddy does not
// tell which port it chose.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// dialCaddy returns a minimal HTTP client with one connection.
func dialCaddy(address string, worker int) (func() (int, error), error) {
	return dialHTTP(address, func(n int) string { return fmt.Sprintf("/prices/%d/%d", worker, n) })
}
