// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"time"

	"example.com/corpus/kit"
	"github.com/hashicorp/golang-lru/v2/expirable"
)

// expirablePerRequest imitates hashicorp/golang-lru#159 and castai/kvisor#236: each
// request makes an expirable LRU, whose goroutine cannot be stopped. The goroutine has
// a ticker of a hundredth of the lifetime of an entry, three seconds here, so that the
// program runs for the whole time.
func expirablePerRequest() kit.Program {
	return kit.Program{Name: "expirable-per-request", Library: "hashicorp/golang-lru/v2", Long: true, Want: kit.Leak("GET /search", "golang-lru/v2/expirable", "heldout.search"), Run: func(w *kit.World) {
		w.ServeRoute("GET /search", 1, func(context.Context) { search("shoes") })
	}}
}

func search(query string) int {
	seen := expirable.NewLRU[string, int](100, nil, 5*time.Minute)
	for i := range 200 {
		seen.Add(query+string(rune('a'+i%26)), i)
	}
	return seen.Len()
}
