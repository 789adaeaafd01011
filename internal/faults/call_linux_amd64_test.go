// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// call is one system call of the child on a file of the store.
type call struct {
	name string
	path string // of a rename: the old path
	base string // last part of path, or "directory" for the directory of the store
	to   string // of a rename: the new path
	size uint64 // of a write: the number of bytes
}

// varying matches the parts of file names that differ from run to run: the time and the
// random part of a bundle's ID, the time and the number of a profile, its directory.
var varying = regexp.MustCompile(`\d{8}T\d{6}\.\d{3}Z(-[0-9a-f]{6})?|profiles-[0-9a-f]{8}|-\d+\.pb`)

// file returns the name of the file, the same in each run.
func (c call) file() string { return varying.ReplaceAllString(c.base, "X") }

func (c call) String() string { return c.name + " of " + c.file() }

func (c call) isWrite() bool { return c.name == "write" || c.name == "pwrite64" }
func (c call) isSync() bool  { return c.name == "fsync" || c.name == "fdatasync" }

func (c call) isRead() bool {
	return c.name == "read" || c.name == "pread64" || c.name == "getdents64"
}

// changes reports whether the call changes files or directories.
func (c call) changes() bool {
	switch c.name {
	case "create", "mkdir", "unlink", "rename", "ftruncate":
		return true
	}
	return c.isWrite()
}

// where is which arguments of a system call name a file.
type where uint8

const (
	byFD     where = iota // the first argument is a descriptor
	byMapped              // the fifth argument is a descriptor
	byPath                // the first is a path
	byAt                  // a directory and a path
	byTwoAts              // two of them
)

// traced has the system calls that count. Go uses the *at variants of most.
var traced = map[uint64]struct {
	name string
	where
}{
	syscall.SYS_READ: {"read", byFD}, syscall.SYS_PREAD64: {"pread64", byFD}, syscall.SYS_GETDENTS64: {"getdents64", byFD},
	syscall.SYS_WRITE: {"write", byFD}, syscall.SYS_PWRITE64: {"pwrite64", byFD}, syscall.SYS_FTRUNCATE: {"ftruncate", byFD},
	syscall.SYS_FSYNC: {"fsync", byFD}, syscall.SYS_FDATASYNC: {"fdatasync", byFD}, syscall.SYS_FLOCK: {"flock", byFD},
	syscall.SYS_CLOSE: {"close", byFD}, syscall.SYS_FSTAT: {"fstat", byFD}, syscall.SYS_FSTATFS: {"fstatfs", byFD},
	syscall.SYS_FCHMOD: {"fchmod", byFD}, syscall.SYS_MMAP: {"mmap", byMapped},
	syscall.SYS_OPENAT: {"open", byAt}, syscall.SYS_MKDIRAT: {"mkdir", byAt}, syscall.SYS_UNLINKAT: {"unlink", byAt},
	syscall.SYS_NEWFSTATAT: {"stat", byAt}, syscall.SYS_FCHMODAT: {"chmod", byAt},
	syscall.SYS_RENAMEAT: {"rename", byTwoAts}, 316: {"rename", byTwoAts}, // renameat2
	syscall.SYS_MKDIR: {"mkdir", byPath}, syscall.SYS_UNLINK: {"unlink", byPath}, syscall.SYS_STATFS: {"statfs", byPath},
}

// parse returns the call, or nil if it does not count.
func (t *tracer) parse(pid int, regs *syscall.PtraceRegs) *call {
	s, ok := traced[regs.Orig_rax]
	if !ok {
		return nil
	}
	c := &call{name: s.name}
	switch s.where {
	case byFD:
		c.path = t.fdPath(regs.Rdi)
	case byMapped:
		c.path = t.fdPath(regs.R8)
	case byPath:
		c.path = t.text(pid, regs.Rdi)
	case byAt:
		c.path = t.at(pid, regs.Rdi, regs.Rsi)
	case byTwoAts:
		c.path, c.to = t.at(pid, regs.Rdi, regs.Rsi), t.at(pid, regs.Rdx, regs.R10)
	}
	if c.path != t.dir && !strings.HasPrefix(c.path, t.dir+"/") {
		return nil
	}
	if c.base = filepath.Base(c.path); c.path == t.dir {
		c.base = "directory"
	}
	if c.isWrite() {
		c.size = regs.Rdx
	}
	if c.name == "open" && regs.Rdx&syscall.O_CREAT != 0 {
		c.name = "create"
	}
	return c
}

func (t *tracer) fdPath(fd uint64) string {
	if int32(fd) < 0 { //nolint:gosec // mmap without a file
		return ""
	}
	path, _ := os.Readlink("/proc/" + strconv.Itoa(t.pid) + "/fd/" + strconv.FormatUint(fd, 10))
	return strings.TrimSuffix(path, " (deleted)")
}

func (t *tracer) at(pid int, dir, path uint64) string {
	name := t.text(pid, path)
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(t.fdPath(dir), name) // without a directory: not of the store, which has absolute paths
}

// text reads a string that ends with 0.
func (t *tracer) text(pid int, at uint64) string {
	var b []byte
	for word := make([]byte, 8); len(b) < 4096; {
		if _, err := syscall.PtracePeekData(pid, uintptr(at)+uintptr(len(b)), word); err != nil {
			return string(b)
		}
		for _, c := range word {
			if c == 0 {
				return string(b)
			}
			b = append(b, c)
		}
	}
	return string(b)
}
