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
)

func main() {
	length := flag.Duration("for", 0, "end by itself after this time, 0 for never")
	rate := flag.Int("rate", 200, "requests a second that the example sends to itself, 1 to 5000")
	flag.Parse()
	if flag.NArg() > 0 || *length < 0 || *rate < 1 || *rate > 5000 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if *length > 0 {
		ctx, cancel = context.WithTimeout(ctx, *length)
		defer cancel()
	}
	if err := run(ctx, *rate); err != nil {
		slog.Error("quickstart", slog.Any("error", err))
		os.Exit(1)
	}
}

func run(ctx context.Context, rate int) (err error) {
	shop, err := newShop(ctx)
	if err != nil {
		return err
	}

	// The one line. The option only adds the summary that this example prints.
	view := &view{shop: shop}
	a, err := agent.Start(agent.WithExporter("summary", view)) //nolint:contextcheck // the agent outlives its starter
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
	shop.load(ctx, rate) // until ctx is done
	return nil
}
