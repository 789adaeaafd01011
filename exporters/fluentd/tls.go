// SPDX-License-Identifier: Apache-2.0

package fluentd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/internal/tlsfile"
)

var errNeedsTLS = errors.New("the server requires TLS: use tls://host:port")

// tlsWait bounds the handshake of needsTLS.
const tlsWait = time.Second

// checkTLS returns an error if the TLS settings are unusable. The scheme is "" if the URL is invalid.
func (t *target) checkTLS() error {
	if t.scheme != "" && t.scheme != "tls" {
		for _, set := range []struct {
			field string
			is    bool
		}{{"CAFile", t.CAFile != ""}, {"CertFile", t.CertFile != ""}, {"KeyFile", t.KeyFile != ""}, {"TLS", t.TLS != nil}} {
			if set.is {
				return wrong(set.field, "with a "+t.scheme+":// URL", "tls://host:port as URL")
			}
		}
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		return wrong("CertFile and KeyFile", fmt.Sprintf("%q and %q", t.CertFile, t.KeyFile), "both or none")
	}
	_, err := t.tlsConfig()
	return err
}

// tlsConfig reads the files and returns the configuration for a connection.
func (t *target) tlsConfig() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.TLS != nil {
		c = t.TLS.Clone()
	}
	c.InsecureSkipVerify = c.InsecureSkipVerify || t.InsecureSkipVerify
	if c.ServerName == "" {
		c.ServerName = t.host
	}
	if t.CAFile != "" {
		var err error
		if c.RootCAs, err = tlsfile.Pool(t.CAFile); err != nil {
			return nil, wrong("CAFile", err.Error(), "a readable file with certificates in PEM form")
		}
	}
	if t.CertFile != "" {
		pair, err := tlsfile.Pair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, wrong("CertFile and KeyFile", fmt.Sprintf("%q and %q: %v", t.CertFile, t.KeyFile, err), "a certificate and its key in PEM form")
		}
		c.Certificates, c.GetClientCertificate = []tls.Certificate{pair}, nil
	}
	return c, nil
}

// explain adds to an error of a TLS connection what the user can do about it.
func (t *target) explain(err error) error {
	var header tls.RecordHeaderError
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var advice string
	switch {
	case errors.As(err, &header):
		advice = "the server does not speak TLS: use tcp://host:port"
	case errors.As(err, &authority) && t.CAFile == "":
		advice = "set CAFile to the CA of the server"
	case errors.As(err, &authority):
		advice = "CAFile " + strconv.Quote(t.CAFile) + " has not the CA of the server"
	case errors.As(err, &name):
		advice = "use that name in the URL, or set TLS.ServerName"
	case isAlert(err) && strings.Contains(err.Error(), "certificate") && t.CertFile == "":
		advice = "the server requires a client certificate: set CertFile and KeyFile"
	case isAlert(err) && strings.Contains(err.Error(), "certificate"):
		advice = "the server does not accept the certificate in " + strconv.Quote(t.CertFile)
	default:
		return err
	}
	return fmt.Errorf("%w: %s", err, advice)
}

// needsTLS reports whether the server of a tcp:// address, which has closed a connection, speaks TLS.
// It makes a connection for that.
func (t *target) needsTLS(ctx context.Context) bool {
	if t.scheme != "tcp" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, min(tlsWait, t.Timeout))
	defer cancel()
	d := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // nothing is sent
	conn, err := d.DialContext(ctx, "tcp", t.endpoint)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil || isAlert(err) // it may require a client certificate, for example
}

// isAlert reports whether the server ended a connection with a TLS alert.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}
