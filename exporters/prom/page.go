package prom

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// page serves the Exporter's own values and target_info, which it renders itself,
// and after them those of client_golang's collectors and of the user's, which
// promhttp renders. What is rare, protobuf and the name[] filter, promhttp serves
// alone.
type page struct {
	exporter *Exporter
	registry *prometheus.Registry // all but the Exporter
	rest     http.Handler         // registry in plain text; nil if it is empty
	all      http.Handler         // registry and Exporter
	inFlight chan struct{}        // capacity: how many requests at a time
	texts    sync.Pool            // of *scratch
	zips     sync.Pool            // of *gzip.Writer
}

// scratch is the memory of one scrape.
type scratch struct {
	text   text
	values []value
}

// newPage returns the page of e with the values of registry, unless that is empty.
func newPage(e *Exporter, registry *prometheus.Registry, isEmpty bool) (*page, error) {
	own := prometheus.NewRegistry()
	if err := registerAll(own, []prometheus.Collector{e, target{e}}); err != nil {
		return nil, err
	}
	p := &page{exporter: e, registry: registry, inFlight: make(chan struct{}, maxRequestsInFlight)}
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

func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case p.inFlight <- struct{}{}:
		defer func() { <-p.inFlight }()
	default:
		http.Error(w, "too many scrapes at a time", http.StatusServiceUnavailable)
		return
	}
	format, s, ok := negotiate(r)
	if !ok {
		p.all.ServeHTTP(w, r)
		return
	}
	out := &response{ResponseWriter: w, page: p, syntax: s, zipped: acceptsGzip(r.Header), body: w}
	defer out.close()
	if p.rest != nil {
		p.rest.ServeHTTP(out, r)
		return
	}
	w.Header().Set("Content-Type", string(format))
	w.Header().Add("Vary", "Accept")
	if s == openMetrics {
		_, _ = io.WriteString(out, "# EOF\n") // the client is gone: nobody to tell
	}
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

// response puts the Exporter's values before what promhttp writes, and
// compresses both.
type response struct {
	http.ResponseWriter
	page    *page
	syntax  syntax
	zipped  bool
	started bool
	body    io.Writer
	zip     *gzip.Writer
}

// WriteHeader begins the page, or passes on what promhttp says went wrong.
func (o *response) WriteHeader(code int) {
	if o.started {
		return
	}
	o.started = true
	h := o.Header()
	h.Add("Vary", "Accept-Encoding")
	if code != http.StatusOK {
		o.ResponseWriter.WriteHeader(code)
		return
	}
	if o.zipped {
		h.Set("Content-Encoding", "gzip")
		o.zip = o.page.zip(o.ResponseWriter)
		o.body = o.zip
	}
	o.ResponseWriter.WriteHeader(code)
	o.page.writeOwn(o.body, o.syntax)
}

// Write writes a part of the page.
func (o *response) Write(b []byte) (int, error) {
	o.WriteHeader(http.StatusOK)
	return o.body.Write(b)
}

func (o *response) close() {
	o.WriteHeader(http.StatusOK) // should promhttp have had nothing to say
	if o.zip != nil {
		_ = o.zip.Close() // the client is gone: nobody to tell
		o.page.zips.Put(o.zip)
	}
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

// writeOwn renders the newest snapshot.
func (p *page) writeOwn(w io.Writer, s syntax) {
	mem, ok := p.texts.Get().(*scratch)
	if !ok {
		mem = new(scratch)
	}
	defer p.texts.Put(mem)
	st := p.exporter.state.Load()
	var skipped uint64
	mem.values, skipped = st.choose(mem.values[:0])
	p.exporter.skipped.Add(skipped)
	mem.text.syntax, mem.text.out = s, mem.text.out[:0]
	mem.text.append(mem.values)
	if st.hasTarget() {
		mem.text.target(st.target())
	}
	clear(mem.values)            // they keep the snapshot alive
	_, _ = w.Write(mem.text.out) // the client is gone: nobody to tell
}
