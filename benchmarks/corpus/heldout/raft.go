// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"example.com/corpus/kit"
	"github.com/hashicorp/raft"
)

// raftShards is a store whose shards are groups of hashicorp/raft, as Liftbridge and
// other message stores have a group for each partition. A request opens a shard with
// three replicas; it is written to every few seconds and moves away after two minutes
// on average. Transport and logs are those in memory that hashicorp/raft has.
func raftShards() kit.Program {
	return kit.Program{Name: "raft-shards", Library: "hashicorp/raft", Run: func(w *kit.World) {
		var n atomic.Int64
		w.Load(kit.Wave(0.3), func() {
			ctx, cancel := context.WithTimeout(w.Ctx, kit.Around(2*time.Minute))
			defer cancel()
			var replicas []*raft.Raft
			w.Root("POST /shards", func(context.Context) { replicas = openShard(n.Add(1)) })
			for kit.Sleep(ctx, kit.Around(4*time.Second)) {
				w.Root("PUT /shards", func(context.Context) { write(replicas) })
			}
			w.Root("DELETE /shards", func(context.Context) {
				for _, r := range replicas {
					_ = r.Shutdown().Error()
				}
			})
		})
	}}
}

func openShard(shard int64) (replicas []*raft.Raft) {
	var configuration raft.Configuration
	var transports []*raft.InmemTransport
	for i := range 3 {
		address, transport := raft.NewInmemTransport(raft.ServerAddress(fmt.Sprintf("shard-%d-%d", shard, i)))
		transports = append(transports, transport)
		configuration.Servers = append(configuration.Servers, raft.Server{ID: raft.ServerID(address), Address: address})
	}
	for i, t := range transports {
		for j, peer := range transports {
			if i != j {
				t.Connect(peer.LocalAddr(), peer)
			}
		}
	}
	for i, t := range transports {
		c := raft.DefaultConfig()
		c.LocalID, c.LogOutput = configuration.Servers[i].ID, io.Discard
		store := raft.NewInmemStore()
		snapshots := raft.NewInmemSnapshotStore()
		kit.Must(raft.BootstrapCluster(c, store, store, snapshots, t, configuration))
		r, err := raft.NewRaft(c, &counter{}, store, store, snapshots, t)
		kit.Must(err)
		replicas = append(replicas, r)
	}
	return replicas
}

func write(replicas []*raft.Raft) {
	for _, r := range replicas {
		if r.State() == raft.Leader {
			_ = r.Apply([]byte("x"), time.Second).Error()
		}
	}
}

// counter is a state machine that counts what is written.
type counter struct{ n atomic.Int64 }

// Apply counts one write.
func (c *counter) Apply(*raft.Log) any { return c.n.Add(1) }

// Snapshot returns what has been counted.
func (c *counter) Snapshot() (raft.FSMSnapshot, error) { return count(c.n.Load()), nil }

// Restore reads what had been counted.
func (c *counter) Restore(r io.ReadCloser) error {
	var n int64
	_, err := fmt.Fscan(r, &n)
	c.n.Store(n)
	return err
}

type count int64

// Persist writes the count.
func (n count) Persist(sink raft.SnapshotSink) error {
	if _, err := fmt.Fprintln(sink, int64(n)); err != nil {
		return sink.Cancel()
	}
	return sink.Close()
}

// Release does nothing.
func (count) Release() {}
