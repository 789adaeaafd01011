package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

//go:embed assets
var embedded embed.FS

// assets are the files of the page, each packed once, when it is first asked for.
type assets struct {
	files map[string]*asset
	live  fs.FS // read anew for each request; nil: the embedded ones
}

type asset struct {
	plain []byte
	etag  string
	once  sync.Once
	gz    []byte
}

func newAssets(live fs.FS) (*assets, error) {
	from := live
	if from == nil {
		sub, err := fs.Sub(embedded, "assets")
		if err != nil {
			return nil, err
		}
		from = sub
	}
	a := &assets{files: map[string]*asset{}, live: live}
	entries, err := fs.ReadDir(from, ".")
	if err != nil {
		return nil, fmt.Errorf("page: Config.Assets: %w", err)
	}
	for _, e := range entries {
		b, err := fs.ReadFile(from, e.Name())
		if err != nil {
			return nil, fmt.Errorf("page: Config.Assets: %w", err)
		}
		a.files[e.Name()] = newAsset(b)
	}
	if a.files["index.html"] == nil {
		return nil, fmt.Errorf("page: Config.Assets: %w: index.html", fs.ErrNotExist)
	}
	return a, nil
}

func newAsset(b []byte) *asset {
	sum := sha256.Sum256(b)
	return &asset{plain: b, etag: `"` + hex.EncodeToString(sum[:12]) + `"`}
}

func (a *assets) has(name string) bool { return a.files[name] != nil }

func (a *assets) serve(w http.ResponseWriter, r *http.Request, name string) {
	f := a.files[name]
	if a.live != nil {
		if b, err := fs.ReadFile(a.live, name); err == nil {
			f = newAsset(b)
		}
	}
	h := w.Header()
	h.Set("Content-Type", contentType(name))
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept-Encoding")
	body, etag := f.plain, f.etag
	if acceptsGzip(r) {
		body, etag = f.packed(), strings.TrimSuffix(f.etag, `"`)+`-gz"`
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client is gone: nobody to tell
	}
}

func (f *asset) packed() []byte {
	f.once.Do(func() { f.gz = pack(f.plain, gzip.BestCompression) })
	return f.gz
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

func pack(b []byte, level int) []byte {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, level)
	if err != nil {
		return nil // not with our levels
	}
	_, _ = z.Write(b) // into memory
	_ = z.Close()
	return out.Bytes()
}

// send writes a body that was made for this request.
func send(w http.ResponseWriter, r *http.Request, b []byte) {
	const worthPacking = 1 << 10
	w.Header().Set("Vary", "Accept-Encoding")
	if len(b) > worthPacking && acceptsGzip(r) {
		w.Header().Set("Content-Encoding", "gzip")
		b = pack(b, gzip.BestSpeed)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b) // the client is gone: nobody to tell
}
