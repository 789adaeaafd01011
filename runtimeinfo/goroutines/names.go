// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxName is the longest name that readable returns, in bytes.
const maxName = 120

// readable returns the name of a function for display: without the linker's escapes
// ("nats%2ego" is "nats.go"), with "[...]" for type arguments, and with at most maxName
// bytes. The empty name is "unknown".
func readable(function string) string {
	if function == "" {
		return "unknown"
	}
	path := packageOf(function)
	return shorten(unescape(path) + elideTypes(function[len(path):]))
}

// unescape removes the linker's escapes from an import path.
func unescape(path string) string {
	if plain, err := url.PathUnescape(path); err == nil {
		return plain
	}
	return path
}

// elideTypes replaces each list of type arguments by "[...]", including nested brackets.
func elideTypes(name string) string {
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

// traceName returns the name that the runtime writes into tracebacks and traces: one
// "[...]" from the first bracket to the last.
func traceName(function string) string {
	i, j := strings.IndexByte(function, '['), strings.LastIndexByte(function, ']')
	if i < 0 || j <= i {
		return function
	}
	return function[:i] + "[...]" + function[j+1:]
}

// shorten cuts a name to maxName bytes. It drops the beginning, up to an element of the import
// path if possible.
func shorten(name string) string {
	const gap = "..."
	if len(name) <= maxName {
		return name
	}
	name = name[len(name)-maxName+len(gap):]
	if slash := strings.IndexByte(name, '/'); slash >= 0 {
		name = name[slash:]
	}
	for len(name) > 0 && !utf8.RuneStart(name[0]) {
		name = name[1:]
	}
	return gap + name
}
