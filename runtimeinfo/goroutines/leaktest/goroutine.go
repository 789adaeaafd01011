// SPDX-License-Identifier: Apache-2.0

package leaktest

import (
	"errors"
	"net/url"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// goroutine is one goroutine of a dump.
type goroutine struct {
	id        uint64 // never reused
	state     string // "chan send", "IO wait"
	labels    map[string]string
	frames    []frame // innermost first
	creator   frame   // zero if unknown
	creatorID uint64  // 0 if unknown
}

// frame is a function in a stack, or a go statement.
type frame struct {
	function, file string
	line           int
}

func (f frame) String() string {
	if f.file == "" {
		return f.function
	}
	return f.function + " (" + path.Base(f.file) + ":" + strconv.Itoa(f.line) + ")"
}

// entry returns the function that the goroutine began in.
func (g *goroutine) entry() string {
	for i, f := range slices.Backward(g.frames) {
		// With GOTRACEBACK=system, goexit ends every stack.
		if f.function != "runtime.goexit" || i == 0 {
			return f.function
		}
	}
	return ""
}

// where returns the innermost frame outside the standard library, or else the innermost.
func (g *goroutine) where() frame {
	for _, f := range g.frames {
		if !f.standard() {
			return f
		}
	}
	if len(g.frames) == 0 {
		return frame{function: "an unknown place"}
	}
	return g.frames[0]
}

// standard reports whether f is in the standard library.
func (f frame) standard() bool {
	if root := standardRoot(); root != "" {
		return strings.HasPrefix(f.file, root)
	}
	first, _, _ := strings.Cut(f.pkg(), "/")
	return first != "main" && !strings.Contains(first, ".") && !strings.HasSuffix(f.file, "_test.go")
}

// pkg returns the import path of f.
func (f frame) pkg() string {
	i := strings.LastIndexByte(f.function, '/') + 1
	name, _, _ := strings.Cut(f.function[i:], ".")
	return f.function[:i] + name
}

// standardRoot returns the directory of the standard library's sources in stacks, or "" in programs
// built with -trimpath.
var standardRoot = sync.OnceValue(func() string { //nolint:gochecknoglobals // it is a function
	pc := make([]uintptr, 1)
	runtime.Callers(0, pc) // runtime.Callers itself
	f, _ := runtime.CallersFrames(pc).Next()
	root, _ := strings.CutSuffix(f.File, "runtime/extern.go")
	return root
})

// standard reports whether g belongs to the runtime, the testing package or os/signal.
func (g *goroutine) standard() bool {
	entry := g.entry()
	if entry == "runtime.goexit" { // threads of C, and goroutines that have not run yet
		return strings.HasPrefix(g.state, "syscall")
	}
	own := []string{"testing.", "testing/synctest.", "internal/fuzz.", "runtime.", "runtime/trace.", "os/signal.loop"}
	return g.id == 1 || // main.main, which runs the tests
		slices.ContainsFunc(own, func(prefix string) bool { return strings.HasPrefix(entry, prefix) })
}

// identities returns the ids of goroutines.
func identities(all []goroutine) map[uint64]bool {
	ids := make(map[uint64]bool, len(all))
	for i := range all {
		ids[all[i].id] = true
	}
	return ids
}

// maxDump is the maximum size of a dump in bytes, about 300,000 goroutines.
const maxDump = 256 << 20

var errTooMany = errors.New("the stacks of all goroutines take too much memory")

// dump returns all goroutines, the current one first. It fails if their stacks exceed limit bytes.
// It stops the world.
func dump(limit int) ([]goroutine, error) {
	const typical = 1 << 10 // bytes of a stack; if too small, all are printed again
	for size := 64<<10 + typical*runtime.NumGoroutine(); ; size *= 2 {
		b := make([]byte, min(size, limit))
		if n := runtime.Stack(b, true); n < len(b) {
			return parse(string(b[:n])), nil
		}
		if size >= limit {
			return nil, errTooMany
		}
	}
}

// labelledDump is dump with labels. Go prints them if the GODEBUG setting tracebacklabels is 1,
// which is the default from Go 1.27 on. Changes of GODEBUG take effect at once. The caller holds
// the lock of the registry.
func labelledDump(limit int) ([]goroutine, error) {
	const variable, setting = "GODEBUG", "tracebacklabels=1"
	old, isSet := os.LookupEnv(variable)
	if old == setting || strings.HasSuffix(old, ","+setting) { // the last one counts
		return dump(limit)
	}
	value := setting
	if old != "" {
		value = old + "," + setting
	}
	if err := os.Setenv(variable, value); err != nil {
		return nil, err
	}
	all, err := dump(limit)
	restore := func() error { return os.Setenv(variable, old) }
	if !isSet {
		restore = func() error { return os.Unsetenv(variable) }
	}
	return all, errors.Join(err, restore())
}

// parse parses the output of runtime.Stack. It skips unknown lines: a stack can be unavailable or
// shortened.
func parse(text string) (all []goroutine) {
	var g *goroutine // the next line belongs to it; may be nil
	var f *frame     // the next line is its place; may be nil
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "goroutine ") {
			g, f = nil, nil
			if next, ok := parseHeader(line); ok {
				all = append(all, next)
				g = &all[len(all)-1]
			}
			continue
		}
		if g == nil {
			continue
		}
		if location, ok := strings.CutPrefix(line, "\t"); !ok {
			f = g.parseFunction(line)
		} else if f != nil {
			f.file, f.line = place(location)
			if f == &g.creator { // ancestors follow with GODEBUG=tracebackancestors
				g = nil
			}
		}
	}
	return all
}

// parseFunction parses "main.f(0x1, ...)" or "created by main.f in goroutine 7". It returns the new
// frame, or nil for other lines.
func (g *goroutine) parseFunction(line string) *frame {
	if creation, ok := strings.CutPrefix(line, "created by "); ok {
		name, id, _ := strings.Cut(creation, " in goroutine ")
		g.creatorID, _ = strconv.ParseUint(id, 10, 64) // 0 if absent
		g.creator.function = unescape(name)
		return &g.creator
	}
	i := strings.LastIndexByte(line, '(')
	if i <= 0 || strings.HasPrefix(line, "...") {
		return nil
	}
	g.frames = append(g.frames, frame{function: unescape(line[:i])})
	return &g.frames[len(g.frames)-1]
}

// parseHeader parses the first line of a goroutine, in one of the forms
//
//	goroutine 7 [chan send, 2 minutes labels:{"k": "v"}]:
//	goroutine 7 gp=0xc000002380 m=nil [chan send, 2 minutes] {k: "v w"}:
//
// of Go 1.26 and 1.27. With GOTRACEBACK=system there are addresses.
func parseHeader(line string) (g goroutine, ok bool) {
	head, rest, found := strings.Cut(line, " [")
	if !found {
		return g, false
	}
	number, _, _ := strings.Cut(strings.TrimPrefix(head, "goroutine "), " ")
	id, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return g, false
	}
	status, labels, found := strings.Cut(rest, " labels:{")
	if !found {
		status, labels, _ = strings.Cut(rest, "] {")
	}
	status, _, _ = strings.Cut(status, "]")
	state, _, _ := strings.Cut(status, ",")
	return goroutine{id: id, state: strings.TrimSuffix(state, " (scan)"), labels: parseLabels(labels)}, true
}

// parseLabels parses `"k": "v", k: "v w"}` with anything after it.
func parseLabels(text string) map[string]string {
	var labels map[string]string
	for text != "" {
		key, rest := token(text)
		value, rest := token(strings.TrimPrefix(rest, ": "))
		if key == "" {
			break
		}
		if labels == nil {
			labels = map[string]string{}
		}
		labels[key] = value
		var more bool
		if text, more = strings.CutPrefix(rest, ", "); !more {
			break
		}
	}
	return labels
}

// token parses a string, which may be quoted as in Go, and returns the rest.
func token(text string) (value, rest string) {
	if quoted, err := strconv.QuotedPrefix(text); err == nil {
		value, err = strconv.Unquote(quoted)
		if err == nil {
			return value, text[len(quoted):]
		}
	}
	end := strings.IndexAny(text, ":,}")
	if end < 0 {
		end = len(text)
	}
	return text[:end], text[end:]
}

// place parses "/dir/file.go:12 +0x1f".
func place(text string) (file string, line int) {
	text, _, _ = strings.Cut(text, " +0x")
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return text, 0
	}
	line, err := strconv.Atoi(text[i+1:])
	if err != nil {
		return text, 0
	}
	return text[:i], line
}

// unescape removes the linker's escapes: gopkg.in/yaml%2ev2.
func unescape(name string) string {
	if plain, err := url.PathUnescape(name); err == nil {
		return plain
	}
	return name
}
