// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"example.com/corpus/kit"
	lru "github.com/hashicorp/golang-lru/v2"
)

// lruRefreshers imitates a cache of products whose entries are renewed in the background: each entry
// has a goroutine that loads it again every two to four minutes, until the LRU drops the entry. The
// cache is full after two minutes.
func lruRefreshers() kit.Program {
	return kit.Program{Name: "lru-refreshers", Library: "hashicorp/golang-lru/v2", Run: func(w *kit.World) {
		serveProducts(w, 250, func(_ int, p *product) { p.stop() })
	}}
}

// lruFillsSlowly is the same cache with more entries: it is full after five or six minutes.
func lruFillsSlowly() kit.Program {
	return kit.Program{Name: "lru-fills-slowly", Library: "hashicorp/golang-lru/v2", Run: func(w *kit.World) {
		serveProducts(w, 500, func(_ int, p *product) { p.stop() })
	}}
}

// lruForgotten is the same cache with the fault that nothing stops the goroutine of an entry that
// the LRU drops.
func lruForgotten() kit.Program {
	return kit.Program{Name: "lru-forgotten", Library: "hashicorp/golang-lru/v2", Long: true, Want: kit.Leak("GET /products", "heldout.(*product).refresh"), Run: func(w *kit.World) {
		serveProducts(w, 250, nil)
	}}
}

func serveProducts(w *kit.World, size int, dropped func(int, *product)) {
	cache, err := lru.NewWithEvict(size, dropped)
	kit.Must(err)
	var mu sync.Mutex
	mux := http.NewServeMux()
	w.Harmless(mux)
	mux.HandleFunc("/products", w.Handle("GET /products", func(rw http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		id := someProduct()
		p, ok := cache.Get(id)
		if !ok {
			p = newProduct()
			cache.Add(id, p)
		}
		fmt.Fprintln(rw, p.get())
	}))
	url := w.Serve(mux)
	w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Constant(5)})
	w.Clients(kit.Clients{URL: url + "/products", Rate: kit.Constant(4)})
}

// someProduct returns a number of which small ones are more frequent.
func someProduct() int {
	return int(math.Pow(rand.Float64(), 7) * 4000)
}

type product struct {
	mu    sync.Mutex
	text  string
	stop  context.CancelFunc
	loads int
}

func newProduct() *product {
	p := new(product)
	p.load()
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	go p.refresh(ctx)
	return p
}

func (p *product) load() {
	time.Sleep(20 * time.Millisecond) // a query
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loads++
	p.text = strconv.Itoa(p.loads)
}

func (p *product) get() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text
}

func (p *product) refresh(ctx context.Context) {
	t := time.NewTicker(2*time.Minute + time.Duration(rand.Int64N(int64(2*time.Minute))))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			p.load()
		}
	}
}
