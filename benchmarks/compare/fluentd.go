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
	"github.com/tinylib/msgp/msgp"

	"github.com/gmpulse/gmpulse/benchmarks/sidebyside"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/fluentd"
)

// The server is a process of its own, so that its CPU time is not ours.
const roleSink = "sink"

// sink answers whoever asks for an acknowledgement, until its input ends.
func sink() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go acknowledge(c)
		}
	}()
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, l.Close())
}

func acknowledge(c net.Conn) {
	defer c.Close()
	r := msgp.NewReader(c)
	for {
		n, err := r.ReadArrayHeader()
		if err != nil {
			return
		}
		for range 3 { // tag, time, record
			if r.Skip() != nil {
				return
			}
		}
		if n < 4 {
			continue
		}
		options, err := r.ReadIntf()
		if err != nil {
			return
		}
		chunk, asked := options.(map[string]any)["chunk"].(string)
		if !asked {
			continue
		}
		if _, err := c.Write(msgp.AppendString([]byte("\x81\xa3ack"), chunk)); err != nil {
			return
		}
	}
}

// startSink returns the server's port and how to end it.
func startSink() (port int, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	cmd := exec.CommandContext(ctx, self, "-child", roleSink)
	cmd.Stderr = os.Stderr
	in, errIn := cmd.StdinPipe()
	out, errOut := cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut, cmd.Start()); err != nil {
		cancel()
		return 0, nil, err
	}
	stop = func() {
		_ = in.Close()
		_ = cmd.Wait()
		cancel()
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil {
		port, err = strconv.Atoi(strings.TrimSpace(line))
	}
	return port, stop, err
}

func printFluentd(e effort) error {
	port, stop, err := startSink()
	if err != nil {
		return err
	}
	defer stop()
	s := liveSnapshot()
	record := func() map[string]any { return maps.Collect(exporters.Record(s)) }
	post := func(name string, c fluent.Config) (sidebyside.Case, error) {
		c.FluentHost, c.FluentPort, c.SubSecondPrecision = "127.0.0.1", port, true
		logger, err := fluent.New(c)
		return sidebyside.Must(name, func() error { return logger.PostWithTime("compare", s.Time, record()) }), err
	}
	plain, err1 := post("fluent-logger, a map", fluent.Config{})
	acked, err2 := post("fluent-logger, a map, acknowledged", fluent.Config{RequestAck: true})
	ours, err3 := fluentd.New(fluentd.Config{URL: "tcp://127.0.0.1:" + strconv.Itoa(port)})
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
