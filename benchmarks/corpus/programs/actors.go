// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"example.com/corpus/kit"
)

// actorsIdle has an actor for each of 400 devices, which ends when it has heard
// nothing for 75 s, as virtual actors in Orleans and protoactor-go do.
func actorsIdle() kit.Program {
	return kit.Program{Name: "actors-idle", Library: "sync", Run: func(w *kit.World) {
		actors := &actors{mailboxes: map[int]chan string{}}
		mux := http.NewServeMux()
		mux.HandleFunc("/reading", w.Handle("POST /reading", func(rw http.ResponseWriter, _ *http.Request) {
			actors.send(rand.IntN(400), "reading")
			fmt.Fprintln(rw, "ok")
		}))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/reading", Method: http.MethodPost, Rate: kit.Wave(10)})
	}}
}

type actors struct {
	mu        sync.Mutex
	mailboxes map[int]chan string
}

func (a *actors) send(id int, message string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	mailbox := a.mailboxes[id]
	if mailbox == nil {
		mailbox = make(chan string, 16)
		a.mailboxes[id] = mailbox
		go a.run(id, mailbox)
	}
	select {
	case mailbox <- message:
	default:
	}
}

func (a *actors) run(id int, mailbox <-chan string) {
	const idle = 75 * time.Second
	timeout := time.NewTimer(idle)
	for {
		select {
		case <-mailbox:
			timeout.Reset(idle)
		case <-timeout.C:
			a.mu.Lock()
			delete(a.mailboxes, id)
			a.mu.Unlock()
			return
		}
	}
}
