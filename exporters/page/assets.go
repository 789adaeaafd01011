// SPDX-License-Identifier: Apache-2.0

package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// builtIn has the files of assets, compressed: a third of the size in the
// binary, and what browsers ask for. Written by: go test ./exporters/page -update
//
//go:embed packed
var builtIn embed.FS

// assets are the files of the page.
type assets struct {
	live fs.FS // read anew for each request; nil: those that are built in
}

func newAssets(live fs.FS) (*assets, error) {
	a := &assets{live}
	if _, err := a.read("index.html"); err != nil {
		return nil, fmt.Errorf("page: Config.Assets: %w", err)
	}
	return a, nil
}

// read returns a file, compressed.
func (a *assets) read(name string) ([]byte, error) {
	if a.live == nil {
		return builtIn.ReadFile("packed/" + name + ".gz")
	}
	b, err := fs.ReadFile(a.live, name)
	return pack(b), err
}

// serveAsset sends a file that was read.
func serveAsset(w http.ResponseWriter, r *http.Request, name string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType(name))
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept-Encoding")
	sum := sha256.Sum256(body)
	etag := hex.EncodeToString(sum[:12])
	if acceptsGzip(r) {
		etag += "-gz"
		h.Set("Content-Encoding", "gzip")
	} else {
		body = unpack(body)
	}
	h.Set("ETag", strconv.Quote(etag))
	if r.Header.Get("If-None-Match") == h.Get("ETag") {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // into memory
}

// contentType is our own table: that of the machine may say anything.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		return "text/plain; charset=utf-8"
	}
}

func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if name == "gzip" && strings.TrimSpace(q) != "q=0" {
			return true
		}
	}
	return false
}

func pack(b []byte) []byte {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil // not with this level
	}
	_, _ = z.Write(b) // into memory
	_ = z.Close()
	return out.Bytes()
}

// unpack is the inverse of pack.
func unpack(b []byte) []byte {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil // not of what pack made
	}
	out, _ := io.ReadAll(z)
	return out
}

// send writes a body that was made for this request.
func send(w http.ResponseWriter, r *http.Request, b []byte) {
	const worthPacking = 1 << 10
	w.Header().Set("Vary", "Accept-Encoding")
	if len(b) > worthPacking && acceptsGzip(r) {
		w.Header().Set("Content-Encoding", "gzip")
		b = pack(b)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b) // into memory, or the client is gone: nobody to tell
}
