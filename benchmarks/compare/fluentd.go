package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/fluent/fluent-logger-golang/fluent"

	"github.com/gmpulse/gmpulse/benchmarks/forward"
	"github.com/gmpulse/gmpulse/benchmarks/sidebyside"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/fluentd"
)

// The server is a process of its own, so that its CPU time is not ours.
const roleSink = "sink"

// sink serves until its input ends.
func sink() error {
	s, err := forward.Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(s.Address())
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, s.Close())
}

// startSink returns the server's address and how to end it.
func startSink() (address string, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	cmd := exec.CommandContext(ctx, self, "-child", roleSink)
	cmd.Stderr = os.Stderr
	in, errIn := cmd.StdinPipe()
	out, errOut := cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut, cmd.Start()); err != nil {
		cancel()
		return "", nil, err
	}
	stop = func() {
		_ = in.Close()
		_ = cmd.Wait()
		cancel()
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	return strings.TrimSpace(line), stop, err
}

func printFluentd(e effort) error {
	address, stop, err := startSink()
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
