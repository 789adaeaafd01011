// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"bufio"
	"context"
	"fmt"
	"time"

	"example.com/corpus/kit"
	"github.com/gofiber/fiber/v2"
)

// fiberSSE imitates the SSE recipe of gofiber/recipes: SetBodyStreamWriter, whose
// writer runs after the handler has returned and its span has ended.
func fiberSSE() kit.Program {
	return kit.Program{Name: "fiber-sse", Library: "gofiber/fiber/v2", Run: func(w *kit.World) {
		app := newFiber(w)
		app.Get("/sse", func(c *fiber.Ctx) error {
			c.Set("Content-Type", "text/event-stream")
			c.Context().SetBodyStreamWriter(func(out *bufio.Writer) {
				for {
					fmt.Fprint(out, "data: time\n\n")
					if out.Flush() != nil || !kit.Sleep(w.Ctx, 10*time.Second) {
						return
					}
				}
			})
			return nil
		})
		url := serveFiber(w, app)
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Wave(8)})
		w.Clients(kit.Clients{URL: url + "/sse", Rate: kit.Wave(2), Session: 90 * time.Second})
	}}
}

// fiberLongPoll polls for 40 s in a handler. fasthttp does not say when a client has
// left, so the handler stays until then.
func fiberLongPoll() kit.Program {
	return kit.Program{Name: "fiber-longpoll", Library: "valyala/fasthttp", Run: func(w *kit.World) {
		app := newFiber(w)
		app.Get("/poll", func(c *fiber.Ctx) error {
			kit.Sleep(c.UserContext(), 40*time.Second)
			return c.SendStatus(fiber.StatusNoContent)
		})
		url := serveFiber(w, app)
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Wave(8)})
		w.Clients(kit.Clients{URL: url + "/poll", Closed: 25})
		w.Clients(kit.Clients{URL: url + "/poll", Rate: kit.Wave(3), Session: 90 * time.Second})
	}}
}

// newFiber returns an app with a root span for each request, as otelfiber has.
func newFiber(w *kit.World) *fiber.App {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Use(func(c *fiber.Ctx) error {
		ctx, end := w.StartSpan(context.Background(), c.Method()+" "+c.Path())
		defer end()
		c.SetUserContext(ctx)
		return c.Next()
	})
	app.Get("/health", func(c *fiber.Ctx) error { return c.SendString("ok") })
	return app
}

func serveFiber(w *kit.World, app *fiber.App) string {
	l := w.Listen()
	go func() { _ = app.Listener(l) }()
	return "http://" + l.Addr().String()
}
