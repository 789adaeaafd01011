// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"io"
	"net/http"
	"time"

	"example.com/corpus/kit"
	"github.com/gin-gonic/gin"
)

// ginStream imitates gin-gonic/gin's server-sent-event example (c.Stream over a
// channel of the client's), with messages every 12 s.
func ginStream() kit.Program {
	return kit.Program{Name: "gin-sse", Library: "gin-gonic/gin", Run: func(w *kit.World) {
		e := newGin(w)
		e.GET("/stream", func(c *gin.Context) {
			ticker := time.NewTicker(12 * time.Second)
			defer ticker.Stop()
			c.Stream(func(io.Writer) bool {
				select {
				case <-ticker.C:
					c.SSEvent("message", "tick")
					return true
				case <-c.Request.Context().Done():
					return false
				}
			})
		})
		url := w.Serve(e)
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Wave(8)})
		w.Clients(kit.Clients{URL: url + "/stream", Rate: kit.Wave(2), Session: 100 * time.Second})
	}}
}

// ginLongPoll is a Gin service without spans whose clients poll for up to 40 s and
// often leave earlier.
func ginLongPoll() kit.Program {
	return kit.Program{Name: "gin-longpoll", Library: "gin-gonic/gin", Spans: kit.None, Run: func(w *kit.World) {
		e := newGin(w)
		e.GET("/updates", func(c *gin.Context) {
			select {
			case <-time.After(40 * time.Second):
				c.Status(http.StatusNoContent)
			case <-c.Request.Context().Done():
			}
		})
		url := w.Serve(e)
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Wave(8)})
		w.Clients(kit.Clients{URL: url + "/updates", Rate: kit.Wave(4), Session: 80 * time.Second})
	}}
}

// newGin returns an engine with a root span for each request, named as otelgin does.
func newGin(w *kit.World) *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.Use(func(c *gin.Context) {
		ctx, end := w.StartSpan(c.Request.Context(), c.Request.Method+" "+c.FullPath())
		defer end()
		c.Request = c.Request.WithContext(ctx)
		c.Next()
	})
	e.GET("/health", func(c *gin.Context) { time.Sleep(2 * time.Millisecond); c.String(http.StatusOK, "ok") })
	return e
}
