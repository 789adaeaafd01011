// SPDX-License-Identifier: Apache-2.0

package fluentd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/gmpulse/gmpulse/internal/tlsfile"
)

// tlsFiles are the TLS settings of a Config.
type tlsFiles struct {
	base          *tls.Config // nil for the defaults
	ca, cert, key string
	insecure      bool
}

// tlsFiles returns the TLS settings of cfg for the network of its URL, "" if the URL is
// invalid.
func (cfg Config) tlsFiles(network string) (tlsFiles, error) {
	f := tlsFiles{ca: cfg.CAFile, cert: cfg.CertFile, key: cfg.KeyFile, insecure: cfg.InsecureSkipVerify}
	if cfg.TLS != nil {
		f.base = cfg.TLS.Clone()
	}
	switch {
	case network != "" && network != "tls" && f.used():
		field := map[bool]string{true: "TLS"}[f.base != nil] // in the order in which they are declared
		for _, set := range []struct{ name, value string }{{"KeyFile", f.key}, {"CertFile", f.cert}, {"CAFile", f.ca}} {
			if set.value != "" {
				field = set.name
			}
		}
		return f, wrong(field, "with a "+network+":// URL", "tls://host:port as URL")
	case (f.cert == "") != (f.key == ""):
		return f, wrong("CertFile and KeyFile", fmt.Sprintf("%q and %q", f.cert, f.key), "both or none")
	}
	_, err := f.config("")
	return f, err
}

// used reports whether there are settings that need a tls:// server.
func (f *tlsFiles) used() bool {
	return f.base != nil || f.ca != "" || f.cert != "" || f.key != ""
}

// config reads the files and returns the configuration for a connection to host.
func (f *tlsFiles) config(host string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.base != nil {
		c = f.base.Clone()
	}
	c.InsecureSkipVerify = c.InsecureSkipVerify || f.insecure
	if c.ServerName == "" {
		c.ServerName = host
	}
	if f.ca != "" {
		var err error
		if c.RootCAs, err = tlsfile.Pool(f.ca); err != nil {
			return nil, wrong("CAFile", err.Error(), "a readable file with certificates in PEM form")
		}
	}
	if f.cert != "" {
		pair, err := tlsfile.Pair(f.cert, f.key)
		if err != nil {
			return nil, wrong("CertFile and KeyFile", fmt.Sprintf("%q and %q: %v", f.cert, f.key, err), "a certificate and its key in PEM form")
		}
		c.Certificates, c.GetClientCertificate = []tls.Certificate{pair}, nil
	}
	return c, nil
}

// explain adds to an error of a TLS connection what the user can do about it.
func (f *tlsFiles) explain(err error) error {
	var header tls.RecordHeaderError
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var advice string
	switch {
	case errors.As(err, &header):
		advice = "the server does not speak TLS: use tcp://host:port"
	case errors.As(err, &authority) && f.ca == "":
		advice = "set CAFile to the CA of the server"
	case errors.As(err, &authority):
		advice = "CAFile " + strconv.Quote(f.ca) + " has not the CA of the server"
	case errors.As(err, &name):
		advice = "use that name in the URL, or set TLS.ServerName"
	case isAlert(err) && strings.Contains(err.Error(), "certificate") && f.cert == "":
		advice = "the server requires a client certificate: set CertFile and KeyFile"
	case isAlert(err) && strings.Contains(err.Error(), "certificate"):
		advice = "the server does not accept the certificate in " + strconv.Quote(f.cert)
	default:
		return err
	}
	return fmt.Errorf("%w: %s", err, advice)
}

// isAlert reports whether the server ended a connection with a TLS alert.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}
