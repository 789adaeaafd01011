// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"strconv"

	"github.com/fluent/fluent-logger-golang/fluent"
	"github.com/tinylib/msgp/msgp"

	"github.com/gmpulse/gmpulse/benchmarks/sidebyside"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/fluentd"
)

func printFluentd(e effort) error {
	address, stop, err := startSink(roleForward)
	if err != nil {
		return err
	}
	defer stop()
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return err
	}
	s := liveSnapshot()
	record := func() map[string]any { return maps.Collect(exporters.Record(s)) }
	post := func(name string, c fluent.Config) (sidebyside.Case, error) {
		c.FluentHost, c.FluentPort, c.SubSecondPrecision = host, port, true
		logger, err := fluent.New(c)
		return sidebyside.Must(name, func() error { return logger.PostWithTime("compare", s.Time, record()) }), err
	}
	encoded, err := encodedOnce(record())
	if err != nil {
		return err
	}
	bare, err0 := fluent.New(fluent.Config{FluentHost: host, FluentPort: port, SubSecondPrecision: true, RequestAck: true})
	plain, err1 := post("fluent-logger, a map", fluent.Config{})
	acked, err2 := post("fluent-logger, a map, acknowledged", fluent.Config{RequestAck: true})
	ours, err3 := fluentd.New(fluentd.Config{URL: "tcp://" + address})
	if err := errors.Join(err0, err1, err2, err3); err != nil {
		return err
	}
	export := sidebyside.Must("**gmpulse**: fluent-logger with an encoding of our own, acknowledged", func() error {
		return ours.Export(context.Background(), s)
	})
	fmt.Printf("A record has %d fields.\n\n", len(record()))
	printTurns("plain fluent-logger", sidebyside.Turns(e.turns, []sidebyside.Case{
		plain, acked, export,
		sidebyside.Must("of that, fluent-logger: a record that is encoded already, acknowledged", func() error {
			return bare.PostWithTime("compare", s.Time, encoded)
		}),
	}))
	return ours.Shutdown(context.Background())
}

// bytesOf is a record that is encoded already: fluent-logger copies it.
type bytesOf []byte

func (b bytesOf) MarshalMsg(to []byte) ([]byte, error) { return append(to, b...), nil }
func (b bytesOf) Msgsize() int                         { return len(b) }

func encodedOnce(record map[string]any) (bytesOf, error) { return msgp.AppendMapStrIntf(nil, record) }
