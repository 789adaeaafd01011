// SPDX-License-Identifier: Apache-2.0

// Quickstart is a small HTTP service under its own load, watched by gmpulse:
//
//	go run ./examples/quickstart            until Ctrl-C
//	go run ./examples/quickstart -for 10s   ends by itself, with a closing table
//
// It needs nothing else. With GMPULSE_FLUENTD=tcp://127.0.0.1:24224 it streams to
// Fluentd too, with OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 it sends its
// spans to a Collector or to Jaeger, and a Prometheus can scrape the address that it
// prints.
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
	"github.com/gmpulse/gmpulse/exporters/jsonl"
)

func main() {
	length := flag.Duration("for", 0, "end by itself after this time, 0 for never")
	var o options
	flag.IntVar(&o.rate, "rate", 200, "requests a second that the example sends to itself, 1 to 5000")
	flag.StringVar(&o.listen, "listen", "127.0.0.1:0", "where the shop listens")
	flag.StringVar(&o.jsonl, "jsonl", "", "file to write samples and events to as JSON lines, for Filebeat and its like")
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
	shop, err := newShop(ctx, o.listen)
	if err != nil {
		return err
	}

	// The one line. The first option only adds the summary that this example prints.
	view := &view{shop: shop}
	with := []agent.Option{agent.WithExporter("summary", view)}
	if o.jsonl != "" {
		file, err := jsonl.New(jsonl.Config{Path: o.jsonl})
		if err != nil {
			return err
		}
		with = append(with, agent.WithExporter("file", file))
	}
	a, err := agent.Start(with...)
	if err != nil {
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, a.Stop(end), shop.close(end))
		view.table(a.Stats())
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

	fmt.Printf("service  %s/checkout\n", shop.url)
	if a.URL() != "" {
		fmt.Printf("page     %sdebug/gmpulse/\nmetrics  %smetrics\nhealth   %shealthz\n", a.URL(), a.URL(), a.URL())
	}
	if err := a.Gauge("shop.queue.depth", "{order}", "Orders that wait for the warehouse.", shop.waiting); err != nil {
		return err
	}
	shop.load(ctx, o.rate) // until ctx is done
	return nil
}
