package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"strconv"

	"github.com/fluent/fluent-logger-golang/fluent"

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
	plain, err1 := post("fluent-logger, a map", fluent.Config{})
	acked, err2 := post("fluent-logger, a map, acknowledged", fluent.Config{RequestAck: true})
	ours, err3 := fluentd.New(fluentd.Config{URL: "tcp://" + address})
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	export := sidebyside.Must("**gmpulse**: fluent-logger with an encoding of our own, acknowledged", func() error {
		return ours.Export(context.Background(), s)
	})
	fmt.Printf("A record has %d fields.\n\n", len(record()))
	printTurns("plain fluent-logger", sidebyside.Turns(e.turns, []sidebyside.Case{plain, acked, export}))
	return ours.Shutdown(context.Background())
}
