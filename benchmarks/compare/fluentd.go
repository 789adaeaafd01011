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
	address, stop, err := startServer(roleForward)
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
	encoded, err := encode(record())
	if err != nil {
		return err
	}
	bare, err0 := fluent.New(fluent.Config{FluentHost: host, FluentPort: port, SubSecondPrecision: true, RequestAck: true})
	plain, err1 := post("fluent-logger, a map", fluent.Config{})
	acked, err2 := post("fluent-logger, a map, acknowledged", fluent.Config{RequestAck: true})
	exporter, err3 := fluentd.New(fluentd.Config{URL: "tcp://" + address})
	if err := errors.Join(err0, err1, err2, err3); err != nil {
		return err
	}
	export := sidebyside.Must("**gmpulse**, acknowledged", func() error {
		return exporter.Export(context.Background(), s)
	})
	fmt.Printf("A record has %d fields.\n\n", len(record()))
	printTurns("plain fluent-logger", sidebyside.Turns(e.turns, []sidebyside.Case{
		plain, acked, export,
		sidebyside.Must("fluent-logger, an encoded record, acknowledged", func() error {
			return bare.PostWithTime("compare", s.Time, encoded)
		}),
	}))
	return exporter.Shutdown(context.Background())
}

// encodedRecord is a record in MessagePack. fluent-logger copies it into its message.
type encodedRecord []byte

func (r encodedRecord) MarshalMsg(to []byte) ([]byte, error) { return append(to, r...), nil }
func (r encodedRecord) Msgsize() int                         { return len(r) }

func encode(record map[string]any) (encodedRecord, error) { return msgp.AppendMapStrIntf(nil, record) }
