// SPDX-License-Identifier: Apache-2.0

package page

import (
	"net/http"
	"path"
	"strings"

	"github.com/gmpulse/gmpulse/exporters/internal/profiling"
)

// handler routes by the end of the path, so that it works under any prefix.
type handler struct {
	e       *Exporter
	light   limiter
	gets    map[string]http.HandlerFunc // below api/v1/
	capture http.Handler                // answers POST api/v1/captures
	// profiles answers below pprof/; nil if Config.NoProfiles is set.
	profiles *profiling.Server
}

func newHandler(e *Exporter) *handler {
	captures := &captures{e: e}
	light := make(limiter, 4)
	profiles := make(limiter, 1) // decoding a large profile takes tens of megabytes
	gets := map[string]http.HandlerFunc{
		"meta":         e.jsonRoute(light, e.meta),
		"record":       e.jsonRoute(light, e.record),
		"history":      e.jsonRoute(e.heavy, e.columns),
		"samples":      e.jsonRoute(e.heavy, e.samples),
		"stream":       e.serveStream,
		"events":       e.jsonRoute(light, inRange(e.eventsWithin)),
		"spans":        e.jsonRoute(light, inRange(e.spansWithin)),
		"goroutines":   e.jsonRoute(light, e.goroutines),
		"moment":       e.jsonRoute(e.heavy, inRange(func(from, to int64) any { return e.moment(from, to) })),
		"flame":        e.jsonRoute(profiles, func(r *http.Request) (any, error) { return e.flame(r, captures) }),
		"cpu":          e.jsonRoute(light, e.cpu),
		"profiles":     e.jsonRoute(light, e.stored),
		"captures":     e.jsonRoute(light, captures.serveList),
		"capture":      captures.serveFile,
		"incident.zip": e.serveIncident(captures),
	}
	// Cross-origin protection rejects POST requests that another site makes a browser
	// send, whatever cookies or credentials the browser holds.
	protection := http.NewCrossOriginProtection()
	h := &handler{e: e, light: light, gets: gets, capture: protection.Handler(http.HandlerFunc(captures.servePost))}
	if !e.config.NoProfiles {
		h.profiles = profiling.New(e.closing, e.config.Profiler.Suspend)
	}
	return h
}

const (
	apiRoot      = "/api/v1/"
	profilesRoot = "/pprof/"
)

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	if i := strings.LastIndex("/"+r.URL.Path, apiRoot); i >= 0 {
		h.serveAPI(w, r, ("/" + r.URL.Path)[i+len(apiRoot):])
		return
	}
	if i := strings.LastIndex("/"+r.URL.Path, profilesRoot); i >= 0 && h.profiles != nil {
		h.profiles.Serve(w, r, ("/" + r.URL.Path)[i+len(profilesRoot):])
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		fail(w, http.StatusMethodNotAllowed, "only GET")
		return
	}
	h.serveFile(w, r)
}

// serveFile sends a file of the page.
func (h *handler) serveFile(w http.ResponseWriter, r *http.Request) {
	dir, name := path.Split(r.URL.Path)
	if name == "" && dir != "" {
		name = "index.html"
	}
	file, err := h.e.readAsset(name)
	switch {
	case err == nil:
		h.e.serveAsset(w, r, h.light, name, file)
	case strings.Contains(name, "."):
		fail(w, http.StatusNotFound, "no such file")
	default:
		redirectToDirectory(w, r)
	}
}

// redirectToDirectory adds the slash that relative addresses need. The redirect is
// relative, because the handler does not know which prefix was stripped. It starts
// with "./", because a browser takes the text before a colon for a scheme.
func redirectToDirectory(w http.ResponseWriter, r *http.Request) {
	p, _, _ := strings.Cut(r.RequestURI, "?")
	if strings.HasSuffix(p, "/") || p == "" {
		fail(w, http.StatusNotFound, "no such page")
		return
	}
	w.Header().Set("Location", "./"+path.Base(p)+"/")
	w.WriteHeader(http.StatusMovedPermanently)
}

func (h *handler) serveAPI(w http.ResponseWriter, r *http.Request, route string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	get := h.gets[route]
	switch {
	case get == nil:
		fail(w, http.StatusNotFound, "no such route; docs/page-api.md lists them")
	case r.Method == http.MethodPost && route == "captures":
		h.capture.ServeHTTP(w, r)
	case r.Method == http.MethodGet:
		get(w, r)
	default:
		w.Header().Set("Allow", "GET")
		fail(w, http.StatusMethodNotAllowed, "no such method here")
	}
}

// contentPolicy lets the page load its own files and nothing else. It forbids inline
// scripts and styles, code from strings, and frames around the page.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

func secure(h http.Header) {
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}
