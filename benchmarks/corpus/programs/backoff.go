// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"example.com/corpus/kit"
	"github.com/cenkalti/backoff/v5"
)

// backoffRetries imitates cenkalti/backoff's README: what fails is tried again with
// exponential waits for two minutes. The other side is down for a third of the run,
// and each order is its own goroutine.
func backoffRetries() kit.Program {
	return kit.Program{Name: "backoff-retries", Library: "cenkalti/backoff/v5", Run: func(w *kit.World) {
		mux := http.NewServeMux()
		mux.HandleFunc("/orders", w.Handle("POST /orders", func(rw http.ResponseWriter, r *http.Request) {
			go submitOrder(context.WithoutCancel(r.Context()), w)
			fmt.Fprintln(rw, "accepted")
		}))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/orders", Method: http.MethodPost, Rate: kit.Wave(4)})
	}}
}

func submitOrder(ctx context.Context, w *kit.World) {
	_, _ = backoff.Retry(ctx, func() (bool, error) {
		if x := w.X(); x > 0.2 && x < 0.5 {
			return false, errors.New("the other side is down")
		}
		return true, nil
	}, backoff.WithBackOff(backoff.NewExponentialBackOff()), backoff.WithMaxElapsedTime(2*time.Minute))
}
