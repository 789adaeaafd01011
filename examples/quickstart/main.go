// SPDX-License-Identifier: Apache-2.0

// Quickstart is a small HTTP service with gmpulse that creates its own load:
//
//	go run ./examples/quickstart            until Ctrl-C
//	go run ./examples/quickstart -for 10s   ends after 10 s and prints a summary
//
// It needs no other program. With GMPULSE_FLUENTD=tcp://127.0.0.1:24224 it also sends
// samples to Fluentd. With OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 it sends
// its spans to a Collector or to Jaeger. Prometheus can scrape the address that the
// program prints.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters/jsonl"
)

func main() {
	length := flag.Duration("for", 0, "end after this time, 0 for never")
	var o options
	flag.IntVar(&o.rate, "rate", 200, "requests a second that the example sends to itself, 1 to 5000")
	flag.StringVar(&o.listen, "listen", "127.0.0.1:0", "address of the service")
	flag.StringVar(&o.jsonl, "jsonl", "", "file for samples and events as JSON lines, to be read by Filebeat or similar")
	flag.Parse()
	if flag.NArg() > 0 || *length < 0 || o.rate < 1 || o.rate > 5000 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if *length > 0 {
		ctx, cancel = context.WithTimeout(ctx, *length)
		defer cancel()
	}
	if err := run(ctx, &o); err != nil {
		slog.Error("quickstart", slog.Any("error", err))
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	rate          int
	listen, jsonl string
}

func run(ctx context.Context, o *options) (err error) {
	service, err := newService(ctx, o.listen)
	if err != nil {
		return err
	}

	// A service needs only agent.Start(). The options add this example's summary and file.
	summary := &summary{service: service}
	options := []agent.Option{agent.WithExporter("summary", summary, engine.EveryTick())}
	if o.jsonl != "" {
		file, err := jsonl.New(jsonl.Config{Path: o.jsonl})
		if err != nil {
			return err
		}
		options = append(options, agent.WithExporter("file", file))
	}
	a, err := agent.Start(options...)
	if err != nil {
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, a.Stop(end), service.close(end))
		summary.printTable(a.Stats())
	}()
	provider, err := newProvider(ctx, a)
	if err != nil {
		return err
	}
	otel.SetTracerProvider(provider)
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, provider.Shutdown(end))
	}()

	fmt.Printf("service  %s/checkout\n", service.url)
	if a.URL() != "" {
		fmt.Printf("page     %sdebug/gmpulse/\nmetrics  %smetrics\nhealth   %shealthz\n", a.URL(), a.URL(), a.URL())
	}
	if err := a.Gauge("shop.queue.depth", "{order}", "Orders that wait for the warehouse.", service.waiting); err != nil {
		return err
	}
	service.load(ctx, o.rate) // until ctx is done
	return nil
}
