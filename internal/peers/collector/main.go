// SPDX-License-Identifier: Apache-2.0

// Collector runs the OTLP receiver (HTTP and gRPC) and the Fluent Forward receiver of the
// OpenTelemetry Collector, for tests. It writes each record that arrives as a JSON line.
//
//	go -C internal/peers/collector run . -out received.ndjson
//
// Flags:
//
//	-host              address to listen on, default 127.0.0.1
//	-otlp-http, -otlp-grpc, -fluent
//	                   ports, default 0: a free one
//	-out               file to append to, default stdout
//	-stop-with-stdin   end when stdin is closed, which happens when the parent ends
//
// The first line on stdout has the addresses:
//
//	{"otlp_http":"127.0.0.1:4318","otlp_grpc":"127.0.0.1:4317","fluent":"127.0.0.1:24224"}
//
// It ends at an interrupt or SIGTERM. record.go describes the lines.
//
// It is a separate program because its Forward receiver and fluent-logger-golang both
// register msgpack extension 0, which panics if a program links both, and a separate
// module because it depends on 500 packages.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/fluentforwardreceiver"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/collector/receiver/xreceiver"
)

// options are the flags. addresses is printed.
type options struct {
	host          string
	ports         [3]int // of addresses, in order
	out           string
	stopWithStdin bool
}

type addresses struct {
	OTLPHTTP string `json:"otlp_http"`
	OTLPGRPC string `json:"otlp_grpc"`
	Fluent   string `json:"fluent"`
}

func main() {
	var o options
	flag.StringVar(&o.host, "host", "127.0.0.1", "address to listen on")
	flag.IntVar(&o.ports[0], "otlp-http", 0, "port for OTLP over HTTP; 0 is a free one")
	flag.IntVar(&o.ports[1], "otlp-grpc", 0, "port for OTLP over gRPC; 0 is a free one")
	flag.IntVar(&o.ports[2], "fluent", 0, "port for Fluent Forward; 0 is a free one")
	flag.StringVar(&o.out, "out", "", "file to append to; default stdout")
	flag.BoolVar(&o.stopWithStdin, "stop-with-stdin", false, "end when stdin is closed")
	flag.Parse()
	if err := run(&o); err != nil {
		fmt.Fprintln(os.Stderr, "collector:", err)
		os.Exit(1)
	}
}

func run(o *options) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	out := os.Stdout
	if o.out != "" {
		f, err := os.OpenFile(o.out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		defer f.Close()
		out = f
	}
	where, err := o.addresses()
	if err != nil {
		return err
	}
	receivers, err := receivers(ctx, where, &writer{out: out})
	if err != nil {
		return err
	}
	for _, r := range receivers {
		if err := r.Start(ctx, componenttest.NewNopHost()); err != nil {
			return err
		}
		defer r.Shutdown(context.Background())
	}
	if err := json.NewEncoder(os.Stdout).Encode(where); err != nil {
		return err
	}
	if o.stopWithStdin {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	<-ctx.Done()
	return nil
}

// addresses chooses free ports, because a receiver does not report the port it chose.
func (o *options) addresses() (*addresses, error) {
	var all [len(o.ports)]string
	for i, port := range o.ports {
		l, err := net.Listen("tcp", net.JoinHostPort(o.host, strconv.Itoa(port)))
		if err != nil {
			return nil, err
		}
		defer l.Close() // at the end, so that the ports differ
		all[i] = l.Addr().String()
	}
	return &addresses{all[0], all[1], all[2]}, nil
}

// receivers returns one receiver per signal. The OTLP receivers share one server.
func receivers(ctx context.Context, where *addresses, w *writer) (all []component.Component, err error) {
	add := func(c component.Component, e error) {
		all = append(all, c)
		if e != nil {
			err = e
		}
	}
	forward := fluentforwardreceiver.NewFactory()
	fc := forward.CreateDefaultConfig().(*fluentforwardreceiver.Config)
	fc.ListenAddress = where.Fluent
	add(forward.CreateLogs(ctx, receivertest.NewNopSettings(forward.Type()), fc, w.logs("fluent")))

	otlp := otlpreceiver.NewFactory()
	oc, err := otlpConfig(otlp, where)
	if err != nil {
		return nil, err
	}
	settings := receivertest.NewNopSettings(otlp.Type())
	add(otlp.CreateLogs(ctx, settings, oc, w.logs("otlp")))
	add(otlp.CreateMetrics(ctx, settings, oc, w.metrics()))
	add(otlp.CreateTraces(ctx, settings, oc, w.traces()))
	add(otlp.(xreceiver.Factory).CreateProfiles(ctx, settings, oc, w.profiles()))
	return all, err
}

func otlpConfig(f receiver.Factory, where *addresses) (component.Config, error) {
	c := f.CreateDefaultConfig()
	return c, confmap.NewFromStringMap(map[string]any{"protocols": map[string]any{
		"http": map[string]any{"endpoint": where.OTLPHTTP},
		"grpc": map[string]any{"endpoint": where.OTLPGRPC},
	}}).Unmarshal(c)
}
