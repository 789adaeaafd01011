// SPDX-License-Identifier: Apache-2.0

// Producer exports snapshots to a Forward server through a spool. It prints which ones the
// spool has on disk and ends when all are delivered. Tests kill and restart it.
//
//	go run ./internal/peers/producer -url tcp://127.0.0.1:24224 -dir /tmp/spool -from 1 -to 1000
//
// Each snapshot has an event. It prints "accepted N" for each snapshot and at the end its
// statistics as a line of JSON. After a kill, start it with -from one above the last
// snapshot that it printed.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/gmpulse/gmpulse/exporters/fluentd"
	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func main() {
	var (
		url   = flag.String("url", "", "URL of the server")
		dir   = flag.String("dir", "", "directory of the spool")
		from  = flag.Uint64("from", 1, "sequence number of the first snapshot")
		to    = flag.Uint64("to", 1, "sequence number of the last snapshot")
		pace  = flag.Duration("pace", time.Millisecond, "time between two snapshots")
		drain = flag.Duration("drain", time.Minute, "how long to wait for the server at the end")
	)
	flag.Parse()
	if err := run(*url, *dir, *from, *to, *pace, *drain); err != nil {
		fmt.Fprintln(os.Stderr, "producer:", err)
		os.Exit(1)
	}
}

func run(url, dir string, from, to uint64, pace, drain time.Duration) error {
	server, err := fluentd.New(fluentd.Config{URL: url, Service: "producer"})
	if err != nil {
		return err
	}
	x, err := spool.New(server, spool.Config{Dir: dir, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	ctx := context.Background()
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for seq := from; seq <= to; seq++ {
		<-ticker.C
		if err := x.Export(ctx, snapshot(seq)); err != nil {
			return err
		}
		if err := x.Sync(ctx); err != nil {
			return err
		}
		fmt.Println("accepted", seq)
	}
	ctx, cancel := context.WithTimeout(ctx, drain)
	defer cancel()
	if err := x.Shutdown(ctx); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(x.ExporterStats())
}

// snapshot returns a snapshot with the same id after each restart, so that the test can
// count copies.
func snapshot(seq uint64) *runtimeinfo.Snapshot {
	var points []runtimeinfo.Point
	for i, m := range catalogue.All() {
		if m.Keys == nil && m.Kind != runtimeinfo.KindHistogram {
			points = append(points, runtimeinfo.Point{Metric: m, Number: float64(seq) + float64(i)/8})
		}
	}
	s := runtimeinfo.NewSnapshot(points...)
	s.Seq, s.Time, s.Start = seq, time.Now(), time.Unix(1_790_000_000, 0)
	s.Resource = []runtimeinfo.Attr{{Key: "service.name", Value: "producer"}, {Key: "service.instance.id", Value: "the-one"}}
	s.Events = []runtimeinfo.Event{{Time: s.Start.Add(time.Duration(seq)), Name: "test.event", Message: strconv.FormatUint(seq, 10)}}
	return s
}
