// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Export returns at once. Shutdown waits for the delivery.
func ExampleNew() {
	backend := exporters.Func(func(_ context.Context, s *runtimeinfo.Snapshot) error {
		fmt.Println("delivered", s.Seq)
		return nil
	})
	x, err := spool.New(backend, spool.Config{Name: "backend", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	s := runtimeinfo.NewSnapshot()
	s.Seq = 7
	if err := x.Export(context.Background(), s); err != nil {
		fmt.Println(err)
	}
	if err := x.Shutdown(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output: delivered 7
}
