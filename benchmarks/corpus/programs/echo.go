// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"fmt"
	"net/http"
	"time"

	"example.com/corpus/kit"
	"github.com/labstack/echo/v4"
)

// echoSSE imitates the server-sent-events recipe of labstack/echo's documentation: a
// ticker, the request's context, and a flush for each event. Sessions of two minutes.
func echoSSE() kit.Program {
	return kit.Program{Name: "echo-sse", Library: "labstack/echo/v4", Spans: kit.None, Run: func(w *kit.World) {
		e := echo.New()
		e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error {
				ctx, end := w.StartSpan(c.Request().Context(), c.Request().Method+" "+c.Path())
				defer end()
				c.SetRequest(c.Request().WithContext(ctx))
				return next(c)
			}
		})
		e.GET("/health", func(c echo.Context) error { return c.String(http.StatusOK, "ok") })
		e.GET("/sse", func(c echo.Context) error {
			rw := c.Response()
			rw.Header().Set("Content-Type", "text/event-stream")
			ticker := time.NewTicker(25 * time.Second)
			defer ticker.Stop()
			for {
				fmt.Fprint(rw, "data: time\n\n")
				rw.Flush()
				select {
				case <-c.Request().Context().Done():
					return nil
				case <-ticker.C:
				}
			}
		})
		url := w.Serve(e)
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Wave(8)})
		w.Clients(kit.Clients{URL: url + "/sse", Rate: kit.Wave(1.5), Session: 2 * time.Minute})
	}}
}
