// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"math/rand/v2"
	"sync"
)

// Tenants has something for each tenant, made when the tenant first comes.
type Tenants[T any] struct {
	mu  sync.Mutex
	all map[int]T
}

// Get returns what a random one of n tenants has, and makes it if need be.
func (t *Tenants[T]) Get(n int, mk func(tenant int) T) T {
	tenant := rand.IntN(n)
	t.mu.Lock()
	defer t.mu.Unlock()
	x, ok := t.all[tenant]
	if ok {
		return x
	}
	if t.all == nil {
		t.all = map[int]T{}
	}
	x = mk(tenant)
	t.all[tenant] = x
	return x
}

// Swap replaces what a random one of n tenants has, and returns what it had.
func (t *Tenants[T]) Swap(n int, mk func(tenant int) T) (old T, ok bool) {
	tenant := rand.IntN(n)
	t.mu.Lock()
	defer t.mu.Unlock()
	if old, ok = t.all[tenant]; ok {
		t.all[tenant] = mk(tenant)
	}
	return old, ok
}
