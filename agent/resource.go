// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// describe returns the resource of this process with the names of OpenTelemetry's semantic
// conventions. Given attributes override detected ones; a later attribute overrides an earlier
// one with the same key.
func describe(service string, given []runtimeinfo.Attr) []runtimeinfo.Attr {
	hostname, _ := os.Hostname() // empty if unknown
	if service == "" {
		service = programName()
	}
	attrs := []runtimeinfo.Attr{
		{Key: "service.name", Value: service},
		{Key: "service.instance.id", Value: instanceID()},
		{Key: "service.version", Value: version()},
		{Key: "host.name", Value: hostname},
		{Key: "process.pid", Value: strconv.Itoa(os.Getpid())},
		{Key: "process.runtime.version", Value: runtime.Version()},
	}
	for _, g := range given {
		attrs = put(attrs, g)
	}
	kept := attrs[:0]
	for _, a := range attrs {
		if a.Value != "" {
			kept = append(kept, a)
		}
	}
	return kept
}

func put(attrs []runtimeinfo.Attr, g runtimeinfo.Attr) []runtimeinfo.Attr {
	for i := range attrs {
		if attrs[i].Key == g.Key {
			attrs[i].Value = g.Value
			return attrs
		}
	}
	return append(attrs, g)
}

// programName returns the last element of the path of the main package or, without build
// information, of the executable.
func programName() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Path != "" && info.Path != "command-line-arguments" {
		return path.Base(info.Path)
	}
	return filepath.Base(os.Args[0])
}

// version returns the version of the main module or, if it has none, its revision.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}

// instanceID returns a random UUID, as the semantic convention of service.instance.id
// recommends.
func instanceID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails, by its documentation
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
