// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"
)

// seedVariable is the seed of an earlier run.
const seedVariable = "GMPULSE_FAULTS_SEED"

// seed determines which faults are chosen and what a power failure leaves. It differs from
// run to run, so that the runs of a few faults together try all of them.
var seed = sync.OnceValue(func() uint64 {
	text, ok := os.LookupEnv(seedVariable)
	if !ok {
		return uint64(time.Now().UnixNano()) / 1e6 //nolint:gosec // after 1970
	}
	n, err := strconv.ParseUint(text, 10, 64)
	must(err)
	return n
})

// generator returns a generator for one purpose. It depends on nothing else but the seed.
func generator(purpose string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(purpose))                 // never fails
	return rand.New(rand.NewPCG(seed(), h.Sum64())) //nolint:gosec // a test
}

// choose returns some of the faults of a store. Whether a fault is among them does not depend on the
// order of the others.
func choose(store string, all []one, some int) []one {
	rank := map[string]uint64{}
	for _, o := range all {
		rank[o.String()] = generator("choose " + store + " " + o.String()).Uint64()
	}
	chosen := append([]one(nil), all...)
	sort.Slice(chosen, func(i, j int) bool { return rank[chosen[i].String()] < rank[chosen[j].String()] })
	return chosen[:min(some, len(chosen))]
}

// repeat returns the command that repeats a test.
func repeat(test string) string {
	return fmt.Sprintf("GMPULSE_FAULTS=full %s=%d go test ./internal/faults -run '^%s$'", seedVariable, seed(), test)
}
