// SPDX-License-Identifier: Apache-2.0

package jsonl_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/jsonl"
)

func TestExportReturnsTheErrorOfAFullDisk(t *testing.T) {
	e := newExporter(t, jsonl.Config{Path: "/dev/full", MaxBytes: 1})
	for range 2 {
		if err := e.Export(t.Context(), small(1)); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("error %v, want %v", err, syscall.ENOSPC)
		}
	}
}

// TestPartialWriteIsRemoved limits the file size so that a write ends in the middle of a
// line, as on a full disk.
func TestPartialWriteIsRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gmpulse.jsonl")
	e := newExporter(t, jsonl.Config{Path: path})
	export(t, e, small(1))
	limit := limitFileSize(t, uint64(smallLine+smallLine/2))
	err := e.Export(t.Context(), small(2))
	limit.lift()
	if !errors.Is(err, syscall.EFBIG) {
		t.Fatalf("error %v, want %v", err, syscall.EFBIG)
	}
	if got := seqs(t, path); !slices.Equal(got, []int{1}) {
		t.Errorf("lines after the failure %v, want [1] and no incomplete line", got)
	}
	export(t, e, small(3))
	if got := seqs(t, path); !slices.Equal(got, []int{1, 3}) {
		t.Errorf("lines %v, want [1 3]", got)
	}
}

type fileSizeLimit struct {
	t      *testing.T
	before syscall.Rlimit
}

// limitFileSize limits file sizes for the whole process until lift is called.
func limitFileSize(t *testing.T, n uint64) *fileSizeLimit {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ) // by default the signal ends the process
	l := &fileSizeLimit{t: t}
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l.before); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: l.before.Max}); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *fileSizeLimit) lift() {
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l.before); err != nil {
		l.t.Fatal(err)
	}
	signal.Reset(syscall.SIGXFSZ)
}

// TestExportToAFullPipeEndsByItsDeadline has a reader that does not read. The next Export
// starts a new line.
func TestExportToAFullPipeEndsByItsDeadline(t *testing.T) {
	e, reader := fullPipe(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := e.Export(ctx, everyMetric()); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("error %v, want %v", err, os.ErrDeadlineExceeded)
	}
	torn := drain(t, reader)
	if len(torn) == 0 {
		t.Skip("the machine is too slow for the write to begin before the deadline")
	}
	export(t, e, small(1))
	if got := drain(t, reader); len(got) == 0 || got[0] != '\n' || int64(len(got)) != 1+smallLine {
		t.Errorf("wrote %q after the incomplete line, want a line break and a complete line", got)
	}
}

func TestShutdownDuringABlockedWriteEndsByItsDeadline(t *testing.T) {
	e, reader := fullPipe(t)
	export(t, e, small(1)) // opens the pipe: an earlier read returns io.EOF
	drain(t, reader)
	if err := reader.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	exported := make(chan error)
	go func() { exported <- e.Export(t.Context(), everyMetric()) }()
	if _, err := reader.Read(make([]byte, 1)); err != nil { // the write has begun
		t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := e.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v, want %v", err, context.DeadlineExceeded)
	}
	if err := e.Export(t.Context(), small(1)); !errors.Is(err, exporters.ErrShutdown) {
		t.Errorf("Export after Shutdown: %v, want %v", err, exporters.ErrShutdown)
	}

	rest, err := io.ReadAll(reader) // ends when the exporter has closed the pipe
	if err != nil || len(rest) == 0 || rest[len(rest)-1] != '\n' {
		t.Errorf("read %d bytes, error %v, want the rest of the line", len(rest), err)
	}
	if err := <-exported; err != nil {
		t.Errorf("the blocked Export: %v", err)
	}
}

// fullPipe returns an exporter that writes to a pipe, whose buffer is smaller than the
// line of everyMetric, and the reader.
func fullPipe(t *testing.T) (*jsonl.Exporter, *os.File) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reader.Close() })
	const setPipeSize = 1031 // F_SETPIPE_SZ
	raw, err := reader.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var errno syscall.Errno
	if err := raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_FCNTL, fd, setPipeSize, 4096)
	}); err != nil || errno != 0 {
		t.Fatal(err, errno)
	}
	return newExporter(t, jsonl.Config{Path: path, MaxBytes: 1, Full: true}), reader
}

// drain reads and returns the contents of a pipe.
func drain(t *testing.T, reader *os.File) []byte {
	t.Helper()
	if err := reader.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(reader)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	return data
}
