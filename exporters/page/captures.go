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
)

const (
	captureTimeout = 2 * time.Minute
	// captureInterval is the minimum time between the starts of two captures.
	captureInterval = time.Minute
	// maxBundles and maxBundleFiles are the numbers of bundles and files that are listed.
	maxBundles     = 100
	maxBundleFiles = 64
	maxManifest    = 64 << 10
)

// captures lists and serves the bundles of captures, and takes new ones.
type captures struct {
	e    *Exporter
	turn sync.Mutex // held while a capture is taken
	last time.Time  // start of the last capture
}

// bundle is a capture as the API has it.
type bundle struct {
	ID       string          `json:"id"`
	Time     int64           `json:"t"` // Unix ms
	Reason   string          `json:"reason,omitempty"`
	Files    []bundleFile    `json:"files"`
	Manifest json.RawMessage `json:"manifest,omitempty"`
}

type bundleFile struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
	Kind string `json:"kind"`           // "profile" (pprof), "trace" (execution trace) or "other"
	Tool string `json:"tool,omitempty"` // the command that opens it
}

func (c *captures) serveList(*http.Request) (any, error) {
	list, err := c.list()
	return map[string][]bundle{"captures": list}, err
}

// list returns the bundles, newest first.
func (c *captures) list() ([]bundle, error) {
	all := []bundle{}
	files := c.e.config.Bundles
	if files == nil {
		return all, nil
	}
	entries, err := fs.ReadDir(files, ".")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, dir := range entries {
		if dir.IsDir() && !strings.HasPrefix(dir.Name(), ".") {
			if b, err := describeBundle(files, dir); err == nil { // else it is being removed
				all = append(all, b)
			}
		}
	}
	sort.Slice(all, func(i, j int) bool {
		return cmp.Or(cmp.Compare(all[j].Time, all[i].Time), strings.Compare(all[j].ID, all[i].ID)) < 0
	})
	return all[:min(len(all), maxBundles)], nil
}

func describeBundle(files fs.FS, dir fs.DirEntry) (bundle, error) {
	b := bundle{ID: dir.Name(), Files: []bundleFile{}}
	entries, err := fs.ReadDir(files, dir.Name())
	if err != nil {
		return b, err
	}
	if info, err := dir.Info(); err == nil {
		b.Time = info.ModTime().UnixMilli()
	}
	for _, f := range entries[:min(len(entries), maxBundleFiles)] {
		if info, err := f.Info(); err == nil && !f.IsDir() {
			b.Files = append(b.Files, describeFile(f.Name(), info.Size()))
		}
	}
	b.readManifest(files)
	return b, nil
}

// readManifest takes time and reason from manifest.json if there is one.
func (b *bundle) readManifest(files fs.FS) {
	text, err := fs.ReadFile(files, path.Join(b.ID, "manifest.json"))
	if err != nil || len(text) > maxManifest || !json.Valid(text) {
		return
	}
	b.Manifest = text
	var m struct {
		Time   time.Time `json:"time"`
		Reason string    `json:"reason"`
	}
	if json.Unmarshal(text, &m) != nil { // the page shows an unknown manifest unchanged
		return
	}
	b.Reason = m.Reason
	if !m.Time.IsZero() {
		b.Time = m.Time.UnixMilli()
	}
}

// describeFile derives the kind of a file from its name.
func describeFile(name string, size int64) bundleFile {
	f := bundleFile{Name: name, Size: size, Kind: "other"}
	switch {
	case strings.HasSuffix(name, ".pb.gz"), strings.HasSuffix(name, ".pprof"):
		f.Kind, f.Tool = "profile", "go tool pprof -http=: "
	case strings.HasSuffix(name, ".trace"), strings.HasSuffix(name, "trace.out"):
		f.Kind, f.Tool = "trace", "go tool trace "
	}
	return f
}

// open opens a file of a bundle. It rejects names that are not one element of a path
// before any file system sees them.
func (c *captures) open(id, name string) (fs.File, fs.FileInfo, error) {
	notFound := &statusError{http.StatusNotFound, "no such capture or file"}
	if c.e.config.Bundles == nil || !isElement(id) || !isElement(name) {
		return nil, nil, notFound
	}
	f, err := c.e.config.Bundles.Open(path.Join(id, name))
	if err != nil {
		return nil, nil, notFound
	}
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		_ = f.Close() // nothing was written
		return nil, nil, notFound
	}
	return f, info, nil
}

// isElement reports whether a name is one element of a path and not hidden.
func isElement(name string) bool {
	return fs.ValidPath(name) && !strings.ContainsAny(name, `/\:`) && !strings.HasPrefix(name, ".")
}

// serveFile sends a file of a bundle as a download.
func (c *captures) serveFile(w http.ResponseWriter, r *http.Request) {
	id, name := r.URL.Query().Get("id"), r.URL.Query().Get("file")
	f, info, err := c.open(id, name)
	if err != nil {
		failWith(w, err)
		return
	}
	defer func() { _ = f.Close() }() // it was only read
	a := c.e.reserve(w, downloadBytes)
	if a == nil {
		return
	}
	defer a.Close()
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", `attachment; filename="`+strings.ReplaceAll(id+"-"+name, `"`, "")+`"`)
	h.Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	_, _ = io.Copy(a, f) // an error means that the client is gone
}

// servePost takes a capture.
func (c *captures) servePost(w http.ResponseWriter, r *http.Request) {
	if c.e.config.Capture == nil {
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
	wait := captureInterval
	if c.turn.TryLock() {
		defer c.turn.Unlock()
		wait = captureInterval - time.Since(c.last)
	}
	if wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())+1))
		fail(w, http.StatusTooManyRequests, fmt.Sprintf("one capture at a time, one in %v: wait %v", captureInterval, wait.Round(time.Second)))
		return
	}
	c.last = time.Now()
	// The capture goes on when the browser disconnects.
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(r.Context()), captureTimeout, errCaptureTimeout)
	defer cancel()
	// A CPU profile takes longer than servers let a response take.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(captureTimeout + time.Minute))
	id, err := c.e.config.Capture(ctx, cmp.Or(strings.TrimSpace(body.Reason), "requested on the page"))
	if err != nil {
		failWith(w, err)
		return
	}
	_, _ = w.Write(encode(map[string]string{"id": id})) // an error means that the client is gone
}

var errCaptureTimeout = errors.New("the capture took too long")
