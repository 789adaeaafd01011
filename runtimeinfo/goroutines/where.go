// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
)

// program knows which functions are the application's own: those of package
// main, of the main module and of the modules that were built together with it
// in a workspace. The zero value knows package main only. Its methods are safe for
// concurrent use.
type program struct {
	main    string           // path of the main module; empty if unknown
	modules map[string]owner // of each module that is known, the main one among them
	agent   string           // path of the module that this package belongs to
}

// owner is whose a function is.
type owner uint8

const (
	ofLibrary owner = iota // of a dependency, or unknown
	ofApplication
	ofStandard // of the standard library
	ofAgent
)

// newProgram returns what the build info says of this process. A program that
// was built without modules has none.
func newProgram() program {
	info, _ := debug.ReadBuildInfo()
	return programOf(info)
}

// programOf returns what a build info says; nil is none.
func programOf(info *debug.BuildInfo) program {
	p := program{agent: strings.TrimSuffix(reflect.TypeFor[program]().PkgPath(), "/runtimeinfo/goroutines")}
	if info == nil {
		return p
	}
	p.main = info.Main.Path
	p.modules = map[string]owner{}
	for _, m := range info.Deps {
		switch {
		case m.Path == p.agent:
			p.modules[m.Path] = ofAgent
		case m.Version == "(devel)" && m.Replace == nil: // of the same workspace
			p.modules[m.Path] = ofApplication
		default:
			p.modules[m.Path] = ofLibrary
		}
	}
	if p.main != "" {
		p.modules[p.main] = ofApplication
	}
	return p
}

// ownerOf returns whose a function is.
func (p *program) ownerOf(function string) owner {
	path := unescaped(packageOf(function))
	if path == "main" || strings.HasPrefix(path, "plugin/unnamed-") {
		return ofApplication
	}
	// The package of external tests is outside the directory, by its name.
	if of, known := p.moduleOf(strings.TrimSuffix(path, "_test")); known {
		return of
	}
	switch {
	case within(path, p.agent):
		return ofAgent
	case isStandard(path):
		return ofStandard
	case len(p.modules) > 0:
		return ofApplication // the build info has every dependency: a plugin, or the main module is not named
	default:
		return ofLibrary
	}
}

// moduleOf returns whose the module of a package is. Modules may be nested: the
// innermost counts.
func (p *program) moduleOf(path string) (of owner, known bool) {
	for {
		if of, known = p.modules[path]; known {
			return of, true
		}
		slash := strings.LastIndexByte(path, '/')
		if slash < 0 {
			return ofLibrary, false
		}
		path = path[:slash]
	}
}

// within reports whether a package is in the tree below a module's path.
func within(path, module string) bool {
	return module != "" && strings.HasPrefix(path, module) && (len(path) == len(module) || path[len(module)] == '/')
}

// where returns the line that a reader looks for: the first frame, leaf first,
// of the stack that is the application's own; else that of the stack of the go
// statement, which may be nil; else the first frame of either that is neither
// the standard library's nor a package's that only passes a wait on; else the
// entry of the stack. The agent's own frames are no candidates.
func (p *program) where(stack, creation []Site) Site {
	for _, find := range []func([]Site) (Site, bool){p.ownFrame, p.outerFrame} {
		for _, frames := range [][]Site{stack, creation} {
			if s, ok := find(frames); ok {
				return s
			}
		}
	}
	if len(stack) > 0 {
		return stack[len(stack)-1]
	}
	return Site{}
}

// creationLine returns the application's own line in the stack of a go
// statement, else the first frame outside the standard library, else the zero
// Site.
func (p *program) creationLine(creation []Site) Site {
	if s, ok := p.ownFrame(creation); ok {
		return s
	}
	s, _ := p.outerFrame(creation)
	return s
}

// ownFrame returns the first frame of the application.
func (p *program) ownFrame(frames []Site) (Site, bool) {
	return first(frames, func(f string) bool { return p.ownerOf(f) == ofApplication })
}

// outerFrame returns the first frame outside the standard library.
func (p *program) outerFrame(frames []Site) (Site, bool) {
	return first(frames, func(f string) bool { return p.ownerOf(f) == ofLibrary && !isCore(f) && !passesOn(packageOf(f)) })
}

// first returns the first frame whose function a predicate is true of.
func first(frames []Site, of func(function string) bool) (Site, bool) {
	if i := slices.IndexFunc(frames, func(s Site) bool { return of(s.Function) }); i >= 0 {
		return frames[i], true
	}
	return Site{}, false
}
