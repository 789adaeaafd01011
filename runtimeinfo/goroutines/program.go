// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"reflect"
	"runtime/debug"
	"strings"
)

// program determines which functions belong to the application: package main, the main module and
// the other modules of its workspace. The zero value knows package main only.
// Its methods are safe for concurrent use.
type program struct {
	main    string           // path of the main module; empty if unknown
	modules map[string]owner // by path, including the main module
	agent   string           // path of the module of this package
}

// owner is the kind of module that a function belongs to.
type owner uint8

const (
	ofLibrary owner = iota // a dependency, or unknown
	ofApplication
	ofStandard // the standard library, and what waits on behalf of its caller like it
	ofAgent
)

// newProgram returns the program of this process. Without modules it has no build info.
func newProgram() program {
	info, _ := debug.ReadBuildInfo()
	return programOf(info)
}

// programOf returns the program of a build info, which may be nil.
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
		case m.Version == "(devel)" && m.Replace == nil: // in the same workspace
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

// ownerOf returns the owner of a function.
func (p *program) ownerOf(function string) owner {
	path := unescape(packageOf(function))
	if isCore(function) || passesOn(path) {
		return ofStandard
	}
	if path == "main" || strings.HasPrefix(path, "plugin/unnamed-") {
		return ofApplication
	}
	if path == p.agent+"/tracectx" { // its Transport is not the line to look at in the programs of this module either
		return ofAgent
	}
	// An external test package belongs to the module of the tested package.
	if of, known := p.moduleOf(strings.TrimSuffix(path, "_test")); known {
		return of
	}
	switch {
	case within(path, p.agent):
		return ofAgent
	case isStandard(path):
		return ofStandard
	case len(p.modules) > 0:
		return ofApplication // build info lists every dependency: a plugin, or an unnamed main module
	default:
		return ofLibrary
	}
}

// moduleOf returns the owner of the innermost module that contains a package.
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

// within reports whether a package is in the tree of a module.
func within(path, module string) bool {
	return module != "" && strings.HasPrefix(path, module) && (len(path) == len(module) || path[len(module)] == '/')
}

// where returns the line to look at: the first frame of the application, leaf first, in the
// stack or else in the creation stack, which may be nil; else the first frame of a library in
// either; else the entry of the stack. It skips frames of the agent.
func (p *program) where(stack, creation []Site) Site {
	for _, of := range []owner{ofApplication, ofLibrary} {
		for _, frames := range [][]Site{stack, creation} {
			if s, ok := p.first(frames, of); ok {
				return s
			}
		}
	}
	if len(stack) > 0 {
		return stack[len(stack)-1]
	}
	return Site{}
}

// creationLine returns the first frame of the application in a creation stack, else of a
// library, else the zero Site.
func (p *program) creationLine(creation []Site) Site {
	for _, of := range []owner{ofApplication, ofLibrary} {
		if s, ok := p.first(creation, of); ok {
			return s
		}
	}
	return Site{}
}

// first returns the first frame whose function belongs to an owner.
func (p *program) first(frames []Site, of owner) (Site, bool) {
	for _, s := range frames {
		if p.ownerOf(s.Function) == of {
			return s, true
		}
	}
	return Site{}, false
}
