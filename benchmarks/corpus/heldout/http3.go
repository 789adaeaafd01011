// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"time"

	"example.com/corpus/kit"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// http3Events is an HTTP/3 server over quic-go with event streams of 70 s on average,
// an event every 15 s, beside short requests. Every client has a connection of its
// own, which idles after its streams for as long as it was busy.
func http3Events() kit.Program {
	return kit.Program{Name: "http3-events", Library: "quic-go/quic-go/http3", Run: func(w *kit.World) {
		mux := http.NewServeMux()
		w.Harmless(mux)
		mux.HandleFunc("/events", w.Handle("GET /events", func(rw http.ResponseWriter, r *http.Request) {
			for i := 0; kit.Sleep(r.Context(), 15*time.Second); i++ {
				fmt.Fprintf(rw, "data: %d\n\n", i)
				_ = http.NewResponseController(rw).Flush()
			}
		}))
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		kit.Must(err)
		s := &http3.Server{Handler: mux, TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{selfSigned()}})}
		go func() { kit.Must(s.Serve(pc)) }()
		w.Role("clients", "https://"+pc.LocalAddr().String())
	}, Roles: map[string]func(*kit.Role){"clients": http3Clients}}
}

func selfSigned() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	kit.Must(err)
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "corpus"}, NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	kit.Must(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func http3Clients(r *kit.Role) {
	var url string
	r.Args(&url)
	r.Say("ok")
	r.Arrivals(r.Ctx, kit.Wave(1.5), func() { go http3Session(r, url) })
}

func http3Session(r *kit.Role, url string) {
	t := &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, QUICConfig: &quic.Config{KeepAlivePeriod: 10 * time.Second, MaxIdleTimeout: time.Minute}} //nolint:gosec // our own server
	defer t.Close()                                                                                                                                                         //nolint:errcheck // the session is over
	client := &http.Client{Transport: t}
	kit.GetAll(client, url+"/health")
	d := kit.Around(70 * time.Second)
	ctx, cancel := context.WithTimeout(r.Ctx, d)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/events", http.NoBody)
	kit.Must(err)
	if resp, err := client.Do(req); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	kit.GetAll(client, url+"/health")
	kit.Sleep(r.Ctx, d)
}
