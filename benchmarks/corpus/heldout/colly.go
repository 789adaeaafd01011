// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"example.com/corpus/kit"
	"github.com/gocolly/colly/v2"
)

// collyCrawls imitates gocolly/colly's example parallel: an asynchronous collector for
// each site, with four requests at a time. colly starts a goroutine for each page, and
// all but four wait. A site has 150 pages that each take half a second, so that a crawl
// takes 20 s.
func collyCrawls() kit.Program {
	return kit.Program{Name: "colly-crawls", Library: "gocolly/colly/v2", Run: func(w *kit.World) {
		site := w.Role("site", nil)
		w.Load(kit.Wave(0.25), func() {
			w.Root("crawl.site", func(context.Context) { crawl(w, site) })
		})
	}, Roles: map[string]func(*kit.Role){"site": slowSite}}
}

func crawl(w *kit.World, site string) {
	c := colly.NewCollector(colly.MaxDepth(2), colly.Async(true))
	kit.Must(c.Limit(&colly.LimitRule{DomainGlob: "*", Parallelism: 4}))
	c.OnHTML("a[href]", func(e *colly.HTMLElement) { _ = e.Request.Visit(e.Attr("href")) })
	c.OnError(func(_ *colly.Response, err error) { w.Logf("crawl: %v", err) })
	_ = c.Visit(site)
	c.Wait()
}

// slowSite has a first page with links to 150 others, each of which takes half a second.
func slowSite(r *kit.Role) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	kit.Must(err)
	var first strings.Builder
	for i := range 150 {
		fmt.Fprintf(&first, `<a href="/page/%d">%d</a>`, i, i)
	}
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		if req.URL.Path == "/" {
			fmt.Fprint(rw, first.String())
			return
		}
		kit.Sleep(req.Context(), time.Duration(250+rand.IntN(500))*time.Millisecond)
		fmt.Fprint(rw, "<p>a page")
	})}
	go func() { _ = s.Serve(l) }()
	r.Say("http://" + l.Addr().String() + "/")
}
