// SPDX-License-Identifier: Apache-2.0

package prom

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/gmpulse/gmpulse/exporters/internal/reply"
)

const (
	// maxScrapes is the number of concurrent scrapes. One takes a few milliseconds; one
	// whose collector hangs keeps its place beyond the timeout.
	maxScrapes = 20
	// maxQueued is the number of scrapes that wait for a place. It exceeds the connections
	// of the agent's server, so only another server can have more.
	maxQueued = 256
	// scrapeTimeout is half of the shortest scrape timeout in common use, 10 s.
	scrapeTimeout = 5 * time.Second
	// maxSending is the size in bytes of all responses that are being sent: 100 full ones.
	maxSending = 4 << 20
)

// handler limits the scrapes of a promhttp handler that run at the same time, and the memory that
// its slow clients hold.
type handler struct {
	gather  http.Handler
	running chan struct{}
	queued  atomic.Int64
	scrape  http.Handler // calls queue and ends it after scrapeTimeout
	sending *reply.Budget
}

// newHandler returns a handler for the families that own and others gather. promhttp
// counts errors in errorCounts, unless that is nil.
func newHandler(own, others prometheus.Gatherer, errorCounts prometheus.Registerer) *handler {
	h := &handler{
		gather: promhttp.HandlerFor(merged(own, others), promhttp.HandlerOpts{
			Registry:            errorCounts,
			ErrorHandling:       promhttp.ContinueOnError,
			EnableOpenMetrics:   true,
			OfferedCompressions: []promhttp.Compression{promhttp.Identity, promhttp.Gzip},
		}),
		running: make(chan struct{}, maxScrapes),
		sending: reply.NewBudget(maxSending),
	}
	h.scrape = http.TimeoutHandler(http.HandlerFunc(h.queue), scrapeTimeout, "the scrape takes too long")
	return h
}

// queue gathers and renders when a place is free. Clients that pipeline requests get places in
// turn with the others, because a connection has one request in the queue.
func (h *handler) queue(w http.ResponseWriter, r *http.Request) {
	defer h.queued.Add(-1)
	if h.queued.Add(1) > maxQueued {
		tooBusy(w)
		return
	}
	select {
	case h.running <- struct{}{}:
	case <-r.Context().Done(): // after scrapeTimeout
		return
	}
	defer func() { <-h.running }()
	h.gather.ServeHTTP(w, r)
}

// merged gathers the families of own, and those families of others that own does not
// have. [prometheus.Gatherers] would drop the units.
func merged(own, others prometheus.Gatherer) prometheus.GathererFunc {
	return func() ([]*dto.MetricFamily, error) {
		families, err := own.Gather()
		taken := make(map[string]bool, len(families))
		for _, f := range families {
			taken[f.GetName()] = true
		}
		more, errOthers := others.Gather()
		err = errors.Join(err, errOthers)
		for _, f := range more {
			if taken[f.GetName()] {
				err = errors.Join(err, fmt.Errorf("prom: another collector has a family named %s", f.GetName()))
				continue
			}
			families = append(families, f)
		}
		slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
		return families, err
	}
}

// ServeHTTP renders the response into memory before it sends it, so that a slow
// client is not a running scrape.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.sending.Full() {
		tooBusy(w)
		return
	}
	res := &response{header: http.Header{}, code: http.StatusOK}
	h.scrape.ServeHTTP(res, r)
	a := h.sending.Open(w, res.body.Len())
	if a == nil {
		tooBusy(w)
		return
	}
	defer a.Close()
	maps.Copy(w.Header(), res.header)
	w.Header().Set("Content-Length", strconv.Itoa(res.body.Len()))
	w.WriteHeader(res.code)
	_, _ = a.Write(res.body.Bytes()) // an error means that the client is gone
}

func tooBusy(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, "too many concurrent scrapes", http.StatusServiceUnavailable)
}

// response is an [http.ResponseWriter] that keeps the response in memory.
type response struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

// Header returns the header of the response.
func (r *response) Header() http.Header { return r.header }

// WriteHeader sets the status code.
func (r *response) WriteHeader(code int) { r.code = code }

// Write appends b to the body.
func (r *response) Write(b []byte) (int, error) { return r.body.Write(b) }
