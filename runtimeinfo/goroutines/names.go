// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxName is the length in bytes above which readable shortens a name.
const maxName = 120

// readable returns the name of a function as people write it: the linker's
// escapes in the import path are undone ("nats%2ego" is "nats.go"), type
// arguments are "[...]", and what is longer than maxName is cut. An unknown
// function reads "unknown".
func readable(function string) string {
	if function == "" {
		return "unknown"
	}
	path := packageOf(function)
	return shortened(unescaped(path) + elided(function[len(path):]))
}

// unescaped undoes the escapes that the linker puts into an import path.
func unescaped(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	if plain, err := url.PathUnescape(path); err == nil {
		return plain
	}
	return path
}

// elided returns a name with "[...]" for each list of type arguments, whatever
// the lists have inside.
func elided(name string) string {
	if !strings.Contains(name, "[") {
		return name
	}
	var b strings.Builder
	depth := 0
	for i := range len(name) {
		switch c := name[i]; {
		case c == '[':
			if depth == 0 {
				b.WriteString("[...]")
			}
			depth++
		case c == ']' && depth > 0:
			depth--
		case depth == 0:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// shortened returns a name of at most maxName bytes. It leaves out the first
// elements of the import path, and where that is not enough the end.
func shortened(name string) string {
	const gap = "..."
	if len(name) <= maxName {
		return name
	}
	path := packageOf(name)
	for i := range len(path) {
		if path[i] == '/' && len(name)-i+len(gap) <= maxName {
			return gap + name[i:]
		}
	}
	name = name[strings.LastIndexByte(path, '/')+1:]
	if len(name) <= maxName {
		return name
	}
	end := maxName - len(gap)
	for !utf8.RuneStart(name[end]) {
		end--
	}
	if dot := strings.LastIndexByte(name[:end], '.'); dot > end/2 {
		end = dot + 1 // a whole part of the name, not a piece of one
	}
	return name[:end] + gap
}
