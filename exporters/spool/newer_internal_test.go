// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"context"
	"encoding/binary"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/internal/codec"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// fillStore creates a store of n records in dir.
func fillStore(t *testing.T, dir, name string, n int) string {
	t.Helper()
	s := &store{path: filepath.Join(dir, name)}
	if err := s.open(); err != nil {
		t.Fatal(err)
	}
	defer s.close()
	var enc codec.Encoder
	c := change{schemas: map[codec.SchemaID][]byte{}}
	for seq := range n {
		x := runtimeinfo.NewSnapshot()
		x.Seq, x.Time = uint64(seq+1), time.Now()
		body, err := enc.Append(nil, x)
		if err != nil {
			t.Fatal(err)
		}
		c.put = append(c.put, newRecord(&entry{accepted: time.Now()}, body))
	}
	id, schema := enc.Schema()
	c.schemas[id] = schema
	if _, err := s.commit(c); err != nil {
		t.Fatal(err)
	}
	return s.path
}

// makeNewer rewrites the records from a key on as if a future encoding had written them.
func makeNewer(t *testing.T, path string, from uint64) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(recordsBucket())
		changed := map[uint64][]byte{}
		_ = b.ForEach(func(k, v []byte) error {
			if key := binary.BigEndian.Uint64(k); key >= from {
				v = append([]byte(nil), v...)
				v[headerSize] = 200
				setChecksum(key, v)
				changed[key] = v
			}
			return nil
		})
		for key, v := range changed {
			if err := b.Put(keyBytes(key), v); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// countRecords counts the records of a store.
func countRecords(t *testing.T, path string) (n int) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_ = db.View(func(tx *bolt.Tx) error {
		n = tx.Bucket(recordsBucket()).Stats().KeyN
		return nil
	})
	return n
}

// runToEnd runs a spool on a directory until every accepted record is delivered.
func runToEnd(t *testing.T, cfg Config) (delivered int64, s exporters.Stats, log string) {
	t.Helper()
	var b strings.Builder
	var n atomic.Int64
	cfg.Logger = slog.New(slog.NewTextHandler(&b, nil))
	x, err := New(exporters.Func(func(context.Context, *runtimeinfo.Snapshot) error {
		n.Add(1)
		return nil
	}), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Export(t.Context(), runtimeinfo.NewSnapshot()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := x.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	s = x.ExporterStats()
	if a := s.Snapshots; a.Accepted != a.Delivered+a.Lost()+a.Pending {
		t.Errorf("%+v", a)
	}
	return n.Load(), s, b.String()
}

// After a rollback to an older release, records that it cannot read stay for the newer one,
// in its own store and in one that it takes over. The log reports them, and the counters omit
// them.
func TestRecordsOfANewerVersionAreKept(t *testing.T) {
	for _, name := range []string{"exporter.db", "exporter.3.db"} {
		dir := t.TempDir()
		path := fillStore(t, dir, name, 10)
		makeNewer(t, path, 5)
		for restart := range 2 {
			n, s, log := runToEnd(t, Config{Dir: dir})
			if want := int64(5 - 4*restart); n != want || s.Snapshots.Lost() != 0 {
				t.Errorf("%s: %d delivered, want %d: %+v", name, n, want, s.Snapshots)
			}
			if !strings.Contains(log, "a newer version wrote") || !strings.Contains(log, "snapshots=6") {
				t.Errorf("%s: log:\n%s", name, log)
			}
			if left := countRecords(t, path); left != 6 {
				t.Errorf("%s: %d records are left for the newer version, want 6", name, left)
			}
		}
		time.Sleep(2 * time.Millisecond)
		if _, s, _ := runToEnd(t, Config{Dir: dir, MaxAge: time.Millisecond}); name == "exporter.db" && s.Snapshots.Dropped(exporters.DropUnreadable) != 6 {
			t.Errorf("after MaxAge: %+v", s.Snapshots)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("after MaxAge: %s is still there", name)
		}
	}
}

// A file that another user may have created is neither used, taken over nor removed, and the
// spool uses another file.
func TestForeignFilesAreNotTouched(t *testing.T) {
	plant := map[string]func(t *testing.T, path string){
		"writable by others":    writable(0o666),
		"writable by the group": writable(0o620),
		"a symbolic link": func(t *testing.T, path string) {
			t.Helper()
			to := filepath.Join(t.TempDir(), "elsewhere")
			if err := os.Rename(path, to); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(to, path); err != nil {
				t.Fatal(err)
			}
		},
		"owned by another user": func(t *testing.T, path string) {
			t.Helper()
			if os.Geteuid() != 0 {
				t.Skip("only root can give a file away")
			}
			if err := os.Chown(path, 12345, -1); err != nil {
				t.Fatal(err)
			}
		},
	}
	for how, f := range plant {
		for _, name := range []string{"exporter.db", "exporter.7.db"} {
			t.Run(name+" "+how, func(t *testing.T) {
				dir := t.TempDir()
				path := fillStore(t, dir, name, 3)
				f(t, path)
				n, s, log := runToEnd(t, Config{Dir: dir})
				if n != 1 || s.Snapshots.Recovered != 0 || s.Spool.DiskError != "" {
					t.Errorf("%d delivered: %+v, %+v", n, s.Snapshots, s.Spool)
				}
				if !strings.Contains(log, "is not touched") {
					t.Errorf("log:\n%s", log)
				}
				if _, err := os.Lstat(path); err != nil {
					t.Errorf("the file is gone: %v", err)
				}
			})
		}
	}
}

func writable(mode os.FileMode) func(t *testing.T, path string) {
	return func(t *testing.T, path string) {
		t.Helper()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
}
