// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"time"

	"example.com/corpus/kit"
	"github.com/dop251/goja"
	"github.com/dop251/goja_nodejs/eventloop"
)

// gojaScripts runs scripts of users, as a home automation server or a load generator
// does: an event loop of goja_nodejs for each, whose goroutine waits for the timers of
// the script. One script in two polls every 15 s; the others wait once, for as long as
// they live. A script lives for 90 s on average, and is then terminated.
func gojaScripts() kit.Program {
	return kit.Program{Name: "goja-scripts", Library: "dop251/goja_nodejs", Spans: kit.Private, Run: func(w *kit.World) {
		n := 0
		go w.Arrivals(w.Ctx, kit.Wave(1), func() {
			n++
			script := pollScript
			if n%2 == 0 {
				script = waitScript
			}
			go func() {
				loop := eventloop.NewEventLoop(eventloop.EnableConsole(false))
				w.Root("POST /scripts", func(context.Context) {
					loop.Start()
					loop.RunOnLoop(func(vm *goja.Runtime) {
						_, err := vm.RunString(script)
						kit.Must(err)
					})
				})
				kit.Sleep(w.Ctx, kit.Around(90*time.Second))
				w.Root("DELETE /scripts", func(context.Context) { loop.Terminate() })
			}()
		})
	}}
}

const (
	pollScript = `let on = false; setInterval(() => { on = !on }, 15000)`
	waitScript = `let on = true; setTimeout(() => { on = false }, 300000)`
)
