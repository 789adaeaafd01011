// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"net/http"
	"strings"

	"github.com/gmpulse/gmpulse/tracectx"
)

// Do calls f as one unit of work that counts and is labelled like a local root span,
// for jobs that have no span of OpenTelemetry, see [tracectx.Processor.Do]:
//
//	a.Do(ctx, "refresh prices", func(ctx context.Context) { ... })
//
// A disabled agent only calls f.
func (a *Agent) Do(ctx context.Context, name string, f func(ctx context.Context)) {
	if a.engine == nil {
		f(ctx)
		return
	}
	a.processor.Do(ctx, name, f)
}

// Middleware returns a handler that shows the agent every request that next serves,
// for servers without OpenTelemetry:
//
//	http.ListenAndServe(":8080", a.Middleware(mux))
//
// A request counts and is labelled like a local root span, under its method and the
// pattern of its route: "GET /users/{id}", or the method alone where there is no
// pattern. If next is an *http.ServeMux, or has its method Handler, the pattern is
// known before the request is served, and all goroutines that it starts carry it; else
// as soon as next has set it in the request that it was given.
//
// Beside otelhttp, inside or outside, each request counts once: the outer one names
// it. The handler passes the ResponseWriter on as it is, so flushing, hijacking and
// the rest work, and a panic goes on after the request has been counted as ended. It
// costs about a microsecond. A disabled agent returns next.
func (a *Agent) Middleware(next http.Handler) http.Handler {
	if a.engine == nil {
		return next
	}
	router, _ := next.(router)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method, pattern := methodOf(r), r.Pattern
		if pattern == "" && router != nil {
			_, pattern = router.Handler(r)
		}
		a.processor.Do(r.Context(), routeName(method, pattern), func(ctx context.Context) {
			r := r.WithContext(ctx)
			if pattern != "" {
				tracectx.SetName(ctx, routeName(method, pattern)) // of a middleware outside
				next.ServeHTTP(w, r)
				return
			}
			defer func() { // also when next panics
				if r.Pattern != "" {
					tracectx.SetName(ctx, routeName(method, r.Pattern))
				}
			}()
			next.ServeHTTP(w, r)
		})
	})
}

// router is the part of an http.ServeMux that tells the pattern of a request.
type router interface {
	Handler(r *http.Request) (h http.Handler, pattern string)
}

// routeName is the name of requests of a method and pattern. A pattern may have a method
// of its own.
func routeName(method, pattern string) string {
	if pattern == "" {
		return method
	}
	if before, _, found := strings.Cut(pattern, " "); found && !strings.Contains(before, "/") {
		return pattern
	}
	return method + " " + pattern
}

// methodOf returns the method of a request, or HTTP for one that the client made up:
// names are bounded.
func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return r.Method
	case "":
		return http.MethodGet
	}
	return "HTTP"
}
