// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"example.com/corpus/kit"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
)

// failsafeRetries imitates webhooks that are retried after 5, 10, 20, 40, 80 and 160 s. A third of the
// receivers are down for three minutes.
func failsafeRetries() kit.Program {
	return kit.Program{Name: "failsafe-retries", Library: "failsafe-go/failsafe-go", Spans: kit.Private, Run: func(w *kit.World) {
		receivers := w.Role("receivers", nil)
		client := &http.Client{Timeout: 10 * time.Second}
		policy := retrypolicy.NewBuilder[any]().WithBackoff(5*time.Second, 160*time.Second).WithMaxRetries(6).Build()
		w.Load(kit.Wave(4), func() {
			w.Root("order.paid", func(context.Context) {
				customer := rand.IntN(30)
				failsafe.With[any](policy).RunAsync(func() error { return deliverWebhook(client, receivers, customer) })
				time.Sleep(5 * time.Millisecond)
			})
		})
	}, Roles: map[string]func(*kit.Role){"receivers": webhookReceivers}}
}

func deliverWebhook(client *http.Client, to string, customer int) error {
	resp, err := client.PostForm(to+"/"+strconv.Itoa(customer), url.Values{"paid": {"yes"}})
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// webhookReceivers answers for all customers, and not for those below ten between two and five
// minutes of a run of ten. It says its URL.
func webhookReceivers(r *kit.Role) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	kit.Must(err)
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		time.Sleep(30 * time.Millisecond)
		if x := r.X(); len(req.URL.Path) == 2 && x > 0.2 && x < 0.5 {
			rw.WriteHeader(http.StatusServiceUnavailable)
		}
	})}
	go func() { _ = s.Serve(l) }()
	r.Say("http://" + l.Addr().String())
}
