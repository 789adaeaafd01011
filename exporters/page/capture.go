// SPDX-License-Identifier: Apache-2.0

package page

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/exporters/internal/reply"
)

const (
	captureTimeout = 2 * time.Minute
	// maxBundles and maxBundleFiles are how many are listed.
	maxBundles     = 100
	maxBundleFiles = 64
	maxManifest    = 64 << 10
)

// captures shows the bundles and asks for new ones.
type captures struct {
	files    fs.FS // nil: none
	take     func(ctx context.Context, reason string) (string, error)
	interval time.Duration
	open     func(w http.ResponseWriter, size int) *reply.Response

	mu     sync.Mutex
	busy   bool
	lastAt time.Time
}

func newCaptures(e *Exporter) *captures {
	c := &e.config
	return &captures{files: c.Bundles, take: c.Capture, interval: c.CaptureInterval, open: e.open}
}

// bundle is one capture as the API has it.
type bundle struct {
	ID       string       `json:"id"`
	Time     int64        `json:"t"` // Unix ms
	Reason   string       `json:"reason,omitempty"`
	Files    []bundleFile `json:"files"`
	Manifest raw          `json:"manifest,omitempty"`
}

type bundleFile struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
	// Kind is "profile" (pprof), "trace" (execution trace) or "other".
	Kind string `json:"kind"`
	// Tool is the command that opens it.
	Tool string `json:"tool,omitempty"`
}

func (c *captures) serveList(w http.ResponseWriter, r *http.Request) {
	list, err := c.list()
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	answer(w, r, map[string][]bundle{"captures": list})
}

// list returns the bundles, the newest first.
func (c *captures) list() ([]bundle, error) {
	all := []bundle{}
	if c.files == nil {
		return all, nil
	}
	entries, err := fs.ReadDir(c.files, ".")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			if b, err := c.describe(e); err == nil { // else it is being removed
				all = append(all, b)
			}
		}
	}
	sort.Slice(all, func(i, j int) bool {
		return cmp.Or(cmp.Compare(all[j].Time, all[i].Time), strings.Compare(all[j].ID, all[i].ID)) < 0
	})
	return all[:min(len(all), maxBundles)], nil
}

func (c *captures) describe(dir fs.DirEntry) (bundle, error) {
	b := bundle{ID: dir.Name(), Files: []bundleFile{}}
	files, err := fs.ReadDir(c.files, dir.Name())
	if err != nil {
		return b, err
	}
	if info, err := dir.Info(); err == nil {
		b.Time = info.ModTime().UnixMilli()
	}
	for _, f := range files[:min(len(files), maxBundleFiles)] {
		info, err := f.Info()
		if err != nil || f.IsDir() {
			continue
		}
		b.Files = append(b.Files, fileOf(f.Name(), info.Size()))
	}
	c.readManifest(&b)
	return b, nil
}

// readManifest takes time and reason from manifest.json, where there is one.
func (c *captures) readManifest(b *bundle) {
	text, err := fs.ReadFile(c.files, path.Join(b.ID, "manifest.json"))
	if err != nil || len(text) > maxManifest || !json.Valid(text) {
		return
	}
	b.Manifest = text
	var m struct {
		Time   time.Time `json:"time"`
		Reason string    `json:"reason"`
	}
	if json.Unmarshal(text, &m) != nil { // of another form: shown as it is
		return
	}
	b.Reason = m.Reason
	if !m.Time.IsZero() {
		b.Time = m.Time.UnixMilli()
	}
}

// fileOf tells what a file of a bundle is by its name.
func fileOf(name string, size int64) bundleFile {
	f := bundleFile{Name: name, Size: size, Kind: "other"}
	switch {
	case strings.HasSuffix(name, ".pb.gz"), strings.HasSuffix(name, ".pprof"):
		f.Kind, f.Tool = "profile", "go tool pprof -http=: "
	case strings.HasSuffix(name, ".trace"), strings.HasSuffix(name, "trace.out"):
		f.Kind, f.Tool = "trace", "go tool trace "
	}
	return f
}

// file opens a file of a bundle. Names from outside are checked before any file
// system sees them.
func (c *captures) file(id, name string) (fs.File, error) {
	if c.files == nil || !element(id) || !element(name) {
		return nil, fs.ErrNotExist
	}
	return c.files.Open(path.Join(id, name))
}

// element tells whether a name is one element of a path, and not a hidden one.
func element(name string) bool {
	return fs.ValidPath(name) && !strings.ContainsAny(name, `/\:`) && !strings.HasPrefix(name, ".")
}

// serveFile sends one file of a bundle, as a download.
func (c *captures) serveFile(w http.ResponseWriter, r *http.Request) {
	id, name := r.URL.Query().Get("id"), r.URL.Query().Get("file")
	f, err := c.file(id, name)
	if err != nil {
		fail(w, http.StatusNotFound, "no such capture or file")
		return
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		fail(w, http.StatusNotFound, "no such capture or file")
		return
	}
	a := c.open(w, downloadBytes)
	if a == nil {
		return
	}
	defer a.Close()
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", `attachment; filename="`+strings.ReplaceAll(id+"-"+name, `"`, "")+`"`)
	h.Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	_, _ = io.Copy(a, f) // the client is gone: nobody to tell
}

// servePost takes a capture.
func (c *captures) servePost(w http.ResponseWriter, r *http.Request) {
	if c.take == nil {
		fail(w, http.StatusNotImplemented, "captures are off")
		return
	}
	var body struct {
		Reason string `json:"reason"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, 4<<10)).Decode(&body); err != nil && !errors.Is(err, io.EOF) {
		fail(w, http.StatusBadRequest, "want {\"reason\": \"...\"}")
		return
	}
	if wait := c.begin(time.Now()); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())+1))
		fail(w, http.StatusTooManyRequests, fmt.Sprintf("one capture at a time, one in %v: wait %v", c.interval, wait.Round(time.Second)))
		return
	}
	defer c.end()
	// The capture is wanted even when the browser goes away meanwhile.
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(r.Context()), captureTimeout, errCaptureTimeout)
	defer cancel()
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(captureTimeout + time.Minute)) // a CPU profile takes its time
	id, err := c.take(ctx, cmp.Or(strings.TrimSpace(body.Reason), "asked for on the page"))
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	answer(w, r, map[string]string{"id": id})
}

var errCaptureTimeout = errors.New("the capture took too long")

// begin takes the turn, or says how long to wait for it.
func (c *captures) begin(now time.Time) (wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy {
		return c.interval
	}
	if left := c.interval - now.Sub(c.lastAt); !c.lastAt.IsZero() && left > 0 {
		return left
	}
	c.busy, c.lastAt = true, now
	return 0
}

func (c *captures) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = false
}
