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
	id        uint64 // never used again by another goroutine
	state     string // "chan send", "IO wait"
	labels    map[string]string
	frames    []frame // the innermost first
	creator   frame   // the zero frame if unknown
	creatorID uint64  // 0 if unknown
}

// frame is a function in a stack, or the statement that creates a goroutine.
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
		// GOTRACEBACK=system shows goexit at the end of every stack.
		if f.function != "runtime.goexit" || i == 0 {
			return f.function
		}
	}
	return ""
}

// where returns the innermost frame outside the standard library, or the
// innermost if there is none.
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

// pkg returns the path of the package that f is in.
func (f frame) pkg() string {
	i := strings.LastIndexByte(f.function, '/') + 1
	name, _, _ := strings.Cut(f.function[i:], ".")
	return f.function[:i] + name
}

// standardRoot returns the directory of the standard library's sources as it is in
// stacks, empty in programs that are built with -trimpath.
var standardRoot = sync.OnceValue(func() string { //nolint:gochecknoglobals // it is a function
	pc := make([]uintptr, 1)
	runtime.Callers(0, pc) // runtime.Callers itself
	f, _ := runtime.CallersFrames(pc).Next()
	root, _ := strings.CutSuffix(f.File, "runtime/extern.go")
	return root
})

// standard reports whether g is one of the runtime's, the testing package's or
// os/signal's own goroutines: those run tests, wait for signals, or come and go with
// the process.
func (g *goroutine) standard() bool {
	entry := g.entry()
	if entry == "runtime.goexit" { // threads of C, and goroutines that have not begun to run
		return strings.HasPrefix(g.state, "syscall")
	}
	for _, prefix := range [...]string{"testing.", "testing/synctest.", "internal/fuzz.", "runtime.", "runtime/trace.", "os/signal.loop"} {
		if strings.HasPrefix(entry, prefix) {
			return true
		}
	}
	return g.id == 1 // main.main, which runs the tests
}

// identities returns the ids of goroutines.
func identities(all []goroutine) map[uint64]bool {
	ids := make(map[uint64]bool, len(all))
	for i := range all {
		ids[all[i].id] = true
	}
	return ids
}

// maxDump is how many bytes of stacks are read: some 300,000 goroutines.
const maxDump = 256 << 20

var errTooMany = errors.New("the stacks of all goroutines take too much memory")

// dump returns all goroutines, the current one first, unless their stacks take
// more than limit bytes. It stops the world.
func dump(limit int) ([]goroutine, error) {
	const typical = 1 << 10 // bytes of a stack: too little room means to print all again
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

// labelledDump is dump with labels. Go prints them since version 1.26 if the setting
// tracebacklabels is 1, which is the default for modules of version 1.27 on. The runtime
// follows changes of GODEBUG at once. The caller holds the lock of [registry].
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

// parse reads what runtime.Stack has printed. Lines that it does not know are
// left out: a stack can be unavailable or shortened.
func parse(text string) (all []goroutine) {
	var g *goroutine // that the next line is of, nil: none
	var f *frame     // that the next line gives the place of, nil: none
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
			if f == &g.creator { // what follows are ancestors: GODEBUG=tracebackancestors
				g = nil
			}
		}
	}
	return all
}

// parseFunction reads "main.f(0x1, ...)" or "created by main.f in goroutine 7",
// and returns the new frame, nil for lines of another kind.
func (g *goroutine) parseFunction(line string) *frame {
	if creation, ok := strings.CutPrefix(line, "created by "); ok {
		name, id, _ := strings.Cut(creation, " in goroutine ")
		g.creatorID, _ = strconv.ParseUint(id, 10, 64) // 0 if there is none
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

// parseHeader reads the first line of a goroutine, in one of the forms
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

// parseLabels reads `"k": "v", k: "v w"}` and what follows.
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

// token reads a string, which may be quoted as in Go, and returns what follows.
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

// place reads "/dir/file.go:12 +0x1f".
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

// unescape returns a function's name as it is in sources: the linker writes
// gopkg.in/yaml%2ev2.
func unescape(name string) string {
	if plain, err := url.PathUnescape(name); err == nil {
		return plain
	}
	return name
}
