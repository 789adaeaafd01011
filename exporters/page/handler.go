// SPDX-License-Identifier: Apache-2.0

package page

import (
	"encoding/json"
	"net/http"
	"path"
	"strings"
)

// handler routes by the end of the path, so that it works under any prefix.
type handler struct {
	e      *Exporter
	assets *assets
	routes map[string]http.HandlerFunc // below api/v1/
	posts  map[string]http.Handler
	file   http.HandlerFunc // of the page
}

func newHandler(e *Exporter) (http.Handler, error) {
	a, err := newAssets(e.config.Assets)
	if err != nil {
		return nil, err
	}
	h := &handler{e: e, assets: a}
	captures := newCaptures(e)
	light := newGate(4)
	profiles := newGate(1) // a large one takes tens of megabytes
	h.file = e.buffered(light, h.serveFile)
	h.routes = map[string]http.HandlerFunc{
		"meta":         e.buffered(light, e.serveMeta),
		"history":      e.buffered(e.heavy, e.serveHistory),
		"samples":      e.buffered(e.heavy, e.serveSamples),
		"stream":       e.serveStream,
		"events":       e.buffered(light, e.serveEvents),
		"spans":        e.buffered(light, e.serveSpans),
		"goroutines":   e.buffered(light, e.serveGoroutines),
		"moment":       e.buffered(e.heavy, e.serveMoment),
		"flame":        e.buffered(profiles, e.serveFlame(captures)),
		"captures":     e.buffered(light, captures.serveList),
		"capture":      captures.serveFile,
		"incident.zip": e.serveIncident(captures),
	}
	// Browsers send no other site's POST past this, whatever cookies or
	// credentials they hold.
	protection := http.NewCrossOriginProtection()
	h.posts = map[string]http.Handler{"captures": protection.Handler(http.HandlerFunc(captures.servePost))}
	return h, nil
}

const apiRoot = "/api/v1/"

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	if i := strings.LastIndex("/"+r.URL.Path, apiRoot); i >= 0 {
		h.serveAPI(w, r, ("/" + r.URL.Path)[i+len(apiRoot):])
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		fail(w, http.StatusMethodNotAllowed, "only GET")
		return
	}
	h.file(w, r)
}

// serveFile sends a file of the page.
func (h *handler) serveFile(w http.ResponseWriter, r *http.Request) {
	dir, name := path.Split(r.URL.Path)
	if name == "" && dir != "" {
		name = "index.html"
	}
	file, err := h.assets.read(name)
	switch {
	case err == nil:
		serveAsset(w, r, name, file)
	case strings.Contains(name, "."):
		fail(w, http.StatusNotFound, "no such file")
	default:
		redirectToDirectory(w, r)
	}
}

// redirectToDirectory adds the slash that relative addresses need. It is
// relative itself: the handler does not know what was stripped. Without the dot a
// browser would take what is before a colon for a scheme, and go elsewhere.
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
	get, post := h.routes[route], h.posts[route]
	switch {
	case get == nil && post == nil:
		fail(w, http.StatusNotFound, "no such route; docs/page-api.md lists them")
	case r.Method == http.MethodPost && post != nil:
		post.ServeHTTP(w, r)
	case r.Method == http.MethodGet && get != nil:
		get(w, r)
	default:
		w.Header().Set("Allow", "GET")
		fail(w, http.StatusMethodNotAllowed, "no such method here")
	}
}

// contentPolicy lets the page load what is beside it and nothing else: no inline
// script or style, no string that becomes code, no frame around it.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

func secure(h http.Header) {
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// fail answers with {"error": message}.
func fail(w http.ResponseWriter, code int, message string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write(encode(map[string]string{"error": message})) // the client is gone: nobody to tell
}

// answer sends v as JSON, packed where the client takes it.
func answer(w http.ResponseWriter, r *http.Request, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	send(w, r, b)
}
