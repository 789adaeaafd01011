// SPDX-License-Identifier: Apache-2.0

package page

import (
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strconv"
)

// packed holds the files of assets, compressed. go test ./exporters/page -update
// writes them.
//
//go:embed packed
var packed embed.FS

// readAsset returns a file of the page.
func (e *Exporter) readAsset(name string) (content, error) {
	if e.config.Assets == nil {
		body, err := packed.ReadFile("packed/" + name + ".gz")
		return content{body, true}, err
	}
	body, err := fs.ReadFile(e.config.Assets, name)
	return content{body: body}, err
}

// serveAsset sends a file, or status 304 if the client has it.
func (e *Exporter) serveAsset(w http.ResponseWriter, r *http.Request, l limiter, name string, c content) {
	sum := sha256.Sum256(c.body)
	etag := hex.EncodeToString(sum[:12])
	if acceptsGzip(r) {
		etag += "-gz"
	}
	h := w.Header()
	h.Set("Content-Type", contentType(name))
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", strconv.Quote(etag))
	if r.Header.Get("If-None-Match") == h.Get("ETag") {
		h.Set("Vary", "Accept-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	e.send(w, r, l, func() (content, error) { return c, nil })
}

// contentType does not use the table of the machine, which may differ.
func contentType(name string) string {
	return cmp.Or(map[string]string{
		".html": "text/html; charset=utf-8",
		".js":   "text/javascript; charset=utf-8",
		".css":  "text/css; charset=utf-8",
		".svg":  "image/svg+xml",
	}[path.Ext(name)], "text/plain; charset=utf-8")
}
