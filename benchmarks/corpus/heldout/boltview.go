// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"time"

	"example.com/corpus/kit"
	"go.etcd.io/bbolt"
)

// boltView imitates openziti/edge#886 and decred/dcrdex#1756: a read transaction
// within a read transaction. When a writer has to map a larger file in between, the
// three wait for each other, and every later request waits too. A recorder writes
// 80 KB a second, so that the file doubles some seven times in the first minute.
func boltView() kit.Program {
	return kit.Program{Name: "bbolt-nested-view", Library: "go.etcd.io/bbolt", Want: kit.Hang("GET /posture", "go.etcd.io/bbolt", "heldout.(*postures)"), Run: func(w *kit.World) {
		dir, err := os.MkdirTemp("", "corpus-bbolt-")
		kit.Must(err)
		db, err := bbolt.Open(filepath.Join(dir, "posture.db"), 0o600, &bbolt.Options{NoSync: true})
		kit.Must(err)
		kit.Must(os.RemoveAll(dir)) // the file stays until it is closed
		p := &postures{db}
		kit.Must(p.record(0))
		w.ServeRoute("GET /posture", 8, func(context.Context) { _ = p.evaluate() })
		for i := uint64(1); kit.Sleep(w.Ctx, 50*time.Millisecond); i++ {
			kit.Must(p.record(i))
		}
	}}
}

type postures struct{ db *bbolt.DB }

func (p *postures) record(i uint64) error {
	return p.db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("checks"))
		if err != nil {
			return err
		}
		return b.Put(binary.BigEndian.AppendUint64(nil, i), make([]byte, 4000))
	})
}

func (p *postures) evaluate() error {
	return p.db.View(func(tx *bbolt.Tx) error {
		time.Sleep(100 * time.Millisecond) // as long as a few checks
		return p.lookUp(uint64(tx.ID()))
	})
}

func (p *postures) lookUp(check uint64) error {
	return p.db.View(func(tx *bbolt.Tx) error {
		_ = tx.Bucket([]byte("checks")).Get(binary.BigEndian.AppendUint64(nil, check))
		return nil
	})
}
