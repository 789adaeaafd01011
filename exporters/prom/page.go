// SPDX-License-Identifier: Apache-2.0

package prom

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/gmpulse/gmpulse/exporters/internal/reply"
)

// page serves the Exporter's own values and target_info, which it renders itself,
// and after them those of client_golang's collectors and of the user's, which
// promhttp renders. What is rare, protobuf and the name[] filter, promhttp serves
// alone.
type page struct {
	exporter  *Exporter
	registry  *prometheus.Registry // all but the Exporter
	rest      http.Handler         // registry in plain text; nil if it is empty
	all       http.Handler         // registry and Exporter
	rendering chan struct{}        // capacity: how many pages are rendered at a time
	waiting   atomic.Int32         // requests that wait for a place
	budget    *reply.Budget        // of pages that are being sent
	texts     sync.Pool            // of *scratch
	zips      sync.Pool            // of *gzip.Writer
}

// scratch is the memory of one scrape.
type scratch struct {
	text   text
	values []value
	zipped bytes.Buffer
}

// newPage returns the page of e with the values of registry, unless that is empty.
func newPage(e *Exporter, registry *prometheus.Registry, isEmpty bool) (*page, error) {
	own := prometheus.NewRegistry()
	if err := registerAll(own, []prometheus.Collector{e, target{e}}); err != nil {
		return nil, err
	}
	p := &page{exporter: e, registry: registry, rendering: make(chan struct{}, maxRendering), budget: reply.NewBudget(maxSending)}
	options := promhttp.HandlerOpts{
		Registry:          registry, // for the count of errors while scraping
		ErrorHandling:     promhttp.ContinueOnError,
		EnableOpenMetrics: true,
		Timeout:           scrapeTimeout,
	}
	p.all = promhttp.HandlerFor(prometheus.Gatherers{registry, own}, options)
	if !isEmpty {
		options.DisableCompression = true // the page as a whole is compressed
		p.rest = promhttp.HandlerFor(prometheus.GathererFunc(p.gatherRest), options)
	}
	return p, nil
}

// gatherRest leaves families out that have taken a name of ours: no collector
// described them.
func (p *page) gatherRest() ([]*dto.MetricFamily, error) {
	families, err := p.registry.Gather()
	st := p.exporter.state.Load()
	families = slices.DeleteFunc(families, func(f *dto.MetricFamily) bool {
		_, taken := st.plan.owners[f.GetName()]
		if taken = taken || f.GetName() == targetName && st.hasTarget(); taken {
			err = errors.Join(err, fmt.Errorf("prom: %s is gmpulse's own", f.GetName()))
		}
		return taken
	})
	return families, err
}

// ServeHTTP renders the page into memory and sends it then: a client that reads slowly
// takes no place of those that render.
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.budget.Full() || !p.enter(r.Context()) {
		busy(w)
		return
	}
	mem, ok := p.texts.Get().(*scratch)
	if !ok {
		mem = new(scratch)
	}
	defer p.texts.Put(mem)
	out := response{header: w.Header(), page: p, mem: mem}
	out.render(r)
	a := p.budget.Open(w, len(out.body))
	if a == nil {
		busy(w)
		return
	}
	defer a.Close()
	out.header.Set("Content-Length", strconv.Itoa(len(out.body)))
	w.WriteHeader(out.code)
	_, _ = a.Write(out.body) // the client is gone: nobody to tell
}

// busy tells a client to come back later.
func busy(w http.ResponseWriter) {
	w.Header().Del("Content-Encoding") // of the page that is not sent
	w.Header().Set("Retry-After", "1")
	http.Error(w, "too many scrapes at a time", http.StatusServiceUnavailable)
}

// enter waits for a place among those that render. It returns false at once where many
// wait already.
func (p *page) enter(ctx context.Context) bool {
	select {
	case p.rendering <- struct{}{}:
		return true
	default:
	}
	defer p.waiting.Add(-1)
	if p.waiting.Add(1) > maxWaiting {
		return false
	}
	timeout := time.NewTimer(waitTimeout)
	defer timeout.Stop()
	select {
	case p.rendering <- struct{}{}:
		return true
	case <-ctx.Done():
	case <-timeout.C:
	}
	return false
}

// negotiate returns what the client prefers. ok is false for what this package
// does not render itself.
func negotiate(r *http.Request) (format expfmt.Format, s syntax, ok bool) {
	if strings.Contains(r.URL.RawQuery, "name") { // perhaps a filter
		return "", 0, false
	}
	format = expfmt.NegotiateAccept(r.Header, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	switch format.FormatType() {
	case expfmt.TypeTextPlain:
		return format, classic, true
	case expfmt.TypeOpenMetrics:
		return format, openMetrics, true
	default:
		return "", 0, false
	}
}

// acceptsGzip reads Accept-Encoding.
func acceptsGzip(h http.Header) bool {
	for _, line := range h.Values("Accept-Encoding") {
		for coding := range strings.SplitSeq(line, ",") {
			name, weight, _ := strings.Cut(coding, ";")
			if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
				continue
			}
			q, found := strings.CutPrefix(strings.ReplaceAll(weight, " ", ""), "q=")
			v, err := strconv.ParseFloat(q, 64)
			return !found || err == nil && v > 0
		}
	}
	return false
}

// response is a page in memory: the Exporter's values, and after them what promhttp
// writes. It is the [http.ResponseWriter] that promhttp sees.
type response struct {
	header http.Header
	page   *page
	mem    *scratch
	syntax syntax
	alone  bool // promhttp writes everything
	code   int  // 0 before the header
	body   []byte
}

// render makes the page. The caller has a place among those that render, which render
// gives back.
func (o *response) render(r *http.Request) {
	defer func() { <-o.page.rendering }()
	o.mem.text.out = o.mem.text.out[:0]
	format, s, ok := negotiate(r)
	if !ok {
		o.alone = true
		o.page.all.ServeHTTP(o, r)
		o.WriteHeader(http.StatusOK) // should promhttp have had nothing to say
		o.body = o.mem.text.out
		return
	}
	o.syntax = s
	if o.page.rest != nil {
		o.page.rest.ServeHTTP(o, r)
	} else {
		o.header.Set("Content-Type", string(format))
		o.header.Add("Vary", "Accept")
	}
	o.WriteHeader(http.StatusOK)
	if o.page.rest == nil && s == openMetrics {
		o.mem.text.out = append(o.mem.text.out, "# EOF\n"...)
	}
	o.pack(acceptsGzip(r.Header))
}

// pack compresses a page that is none of promhttp's own errors.
func (o *response) pack(zipped bool) {
	o.header.Add("Vary", "Accept-Encoding")
	o.body = o.mem.text.out
	if !zipped || o.code != http.StatusOK {
		return
	}
	o.header.Set("Content-Encoding", "gzip")
	o.mem.zipped.Reset()
	z := o.page.zip(&o.mem.zipped)
	_, _ = z.Write(o.body) // into memory
	_ = z.Close()
	o.page.zips.Put(z)
	o.body = o.mem.zipped.Bytes()
}

// Header returns the header of the answer.
func (o *response) Header() http.Header { return o.header }

// WriteHeader begins the page, or notes what promhttp says went wrong.
func (o *response) WriteHeader(code int) {
	if o.code != 0 {
		return
	}
	o.code = code
	if code == http.StatusOK && !o.alone {
		o.page.appendOwn(o.mem, o.syntax)
	}
}

// Write adds a part of the page.
func (o *response) Write(b []byte) (int, error) {
	o.WriteHeader(http.StatusOK)
	o.mem.text.out = append(o.mem.text.out, b...)
	return len(b), nil
}

// zip returns a compressor that writes to w. At the fastest level it takes a
// third of the time for a page that is a tenth larger.
func (p *page) zip(w io.Writer) *gzip.Writer {
	if z, ok := p.zips.Get().(*gzip.Writer); ok {
		z.Reset(w)
		return z
	}
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil { // for an illegal level only
		return gzip.NewWriter(w)
	}
	return z
}

// appendOwn renders the newest snapshot.
func (p *page) appendOwn(mem *scratch, s syntax) {
	st := p.exporter.state.Load()
	var skipped uint64
	mem.values, skipped = st.choose(mem.values[:0])
	p.exporter.skipped.Add(skipped)
	mem.text.syntax = s
	mem.text.append(mem.values)
	if st.hasTarget() {
		mem.text.target(st.target())
	}
	clear(mem.values) // they keep the snapshot alive
}
