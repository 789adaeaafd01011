// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"time"

	"example.com/corpus/kit"
	"github.com/hashicorp/go-retryablehttp"
)

// retryableUploads has uploads under a root span that are tried again for a minute
// and a half, by hashicorp/go-retryablehttp, against a server that is down.
func retryableUploads() kit.Program {
	return kit.Program{Name: "retryablehttp-uploads", Library: "hashicorp/go-retryablehttp", Run: func(w *kit.World) {
		client := retryablehttp.NewClient()
		client.Logger = nil
		client.RetryMax, client.RetryWaitMin, client.RetryWaitMax = 5, 6*time.Second, 30*time.Second
		w.Load(kit.Wave(1), func() {
			w.Root("upload", func(context.Context) {
				resp, err := client.Get("http://127.0.0.1:1/")
				if err == nil {
					_ = resp.Body.Close()
				}
			})
		})
		w.Load(kit.Wave(10), func() { w.Root("GET /", func(context.Context) { time.Sleep(3 * time.Millisecond) }) })
	}}
}
