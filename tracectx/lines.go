// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"cmp"
	"path"
	"reflect"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
)

const (
	maxCallers  = 96
	maxLines    = 4096 // program counters that are remembered
	maxLineName = 200
)

// lines finds the line of the application that makes a request. The zero value is ready to use.
type lines struct {
	mu    sync.RWMutex
	known map[uintptr]frame // by program counter
	main  string            // path of the main module, "" if unknown
}

// frame is what a stack frame is for the search of a line.
type frame struct {
	kind frameKind
	line string
}

type frameKind uint8

const (
	ofTransport   frameKind = iota // the standard library, this package, a RoundTripper
	ofClient                       // http.Client
	ofLibrary                      // another module
	ofApplication                  // the main module
)

// caller returns the line that makes the request which the calling goroutine is in.
func (l *lines) caller() string {
	var pcs [maxCallers]uintptr
	n := runtime.Callers(3, pcs[:]) // without caller and bodies.open
	return l.find(pcs[:n])
}

// find returns the first frame of the application that is above the innermost frames of
// http.Client, or else of a library, or else "unknown".
func (l *lines) find(pcs []uintptr) string {
	library, application, client := "", "", false
	for _, pc := range pcs {
		f := l.at(pc)
		switch {
		case f.kind == ofClient && !client: // what was found so far is below http.Client
			library, application, client = "", "", true
		case f.kind == ofApplication && client:
			return f.line
		case f.kind == ofApplication:
			application = cmp.Or(application, f.line)
		case f.kind == ofLibrary:
			library = cmp.Or(library, f.line)
		}
	}
	return cmp.Or(application, library, "unknown")
}

// at returns the frame of a program counter.
func (l *lines) at(pc uintptr) frame {
	l.mu.RLock()
	f, ok := l.known[pc]
	l.mu.RUnlock()
	if ok {
		return f
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.known = map[uintptr]frame{}
		if info, ok := debug.ReadBuildInfo(); ok {
			l.main = info.Main.Path
		}
	}
	f = l.describe(pc)
	if len(l.known) < maxLines {
		l.known[pc] = f
	}
	return f
}

func (l *lines) describe(pc uintptr) frame {
	at, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	name := strings.ReplaceAll(at.Function, "%2e", ".") // the linker's escape
	slash := strings.LastIndexByte(name, '/') + 1
	pkg, method, _ := strings.Cut(name[slash:], ".")
	pkg = name[:slash] + pkg
	domain, _, _ := strings.Cut(pkg, "/")
	kind := ofTransport
	switch {
	case pkg == "net/http" && path.Base(at.File) == "client.go": // http.Client, http.Get and the like
		kind = ofClient
	case strings.Contains(method, ".RoundTrip"), pkg == reflect.TypeFor[lines]().PkgPath():
	case pkg == "main", l.main != "" && strings.HasPrefix(pkg+"/", l.main+"/"), l.main != "" && pkg == l.main+"_test":
		kind = ofApplication
	case strings.Contains(domain, "."):
		kind = ofLibrary
	}
	return frame{kind, lineName(name, at.File, at.Line)}
}

// lineName returns "pkg.Func (file.go:12)", as package goroutines names a line.
func lineName(function, file string, line int) string {
	if function == "" {
		function = "unknown"
	}
	if len(function) > maxLineName {
		function = "..." + strings.ToValidUTF8(function[len(function)-maxLineName:], "")
	}
	return function + " (" + path.Base(file) + ":" + strconv.Itoa(line) + ")"
}
