// SPDX-License-Identifier: Apache-2.0

package fluentd

import (
	"fmt"
	"os"
	"strings"

	"github.com/fluent/fluent-logger-golang/fluent"
)

// library is a connection of the library's client. It serves every Config that the
// library can express; a session serves the others.
type library struct{ fluent *fluent.Fluent }

// newLibrary connects. The library's dial ends with its timeout and takes no context.
func newLibrary(t *target) (*library, error) {
	l := &library{}
	err := safely(func() error {
		f, err := fluent.New(t.library())
		if err != nil {
			return fmt.Errorf("no connection: %w", err) // f has no connection to close
		}
		l.fluent = f
		return nil
	})
	return l, err
}

// library returns the configuration for the library's client.
func (t *target) library() fluent.Config {
	host := t.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]" // the library only appends ":port"
	}
	return fluent.Config{
		FluentNetwork:         t.network,
		FluentHost:            host,
		FluentPort:            t.port,
		FluentSocketPath:      t.path,
		Timeout:               t.timeout,
		WriteTimeout:          t.writeTimeout,
		ReadTimeout:           t.ackTimeout,
		MaxRetry:              1, // more would block Export for minutes; the agent and the spool retry
		RequestAck:            true,
		SubSecondPrecision:    true,
		TlsInsecureSkipVerify: t.tls.insecure,
	}
}

// post implements connection.
func (l *library) post(m message) (keep bool, err error) {
	err = safely(func() error { return l.fluent.PostWithTime(m.tag, m.at, m.body) })
	if err != nil {
		endStderrLine()
	}
	return err == nil, err
}

// close implements connection. It must not run during a post, which the library would
// wait for.
func (l *library) close() {
	_ = safely(l.fluent.Close) // the connection is abandoned in any case
}

// endStderrLine ends the line that the library writes to os.Stderr when an
// acknowledgement is missing: "Closing connection..." without a newline.
func endStderrLine() { _, _ = os.Stderr.WriteString("\n") }

// safely calls f and returns a panic of the library as an error.
func safely(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("fluent-logger-golang panicked: %v", r)
		}
	}()
	return f()
}
