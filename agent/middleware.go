// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"net/http"
	"strings"

	"github.com/gmpulse/gmpulse/tracectx"
)

// Do calls f and treats the call like a local root span, for jobs without an OpenTelemetry
// span: it is counted under name, and its goroutines are labelled. See
// [tracectx.Processor.Do].
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

// Middleware returns a handler that calls next and reports every request to the agent, for
// servers without OpenTelemetry:
//
//	http.ListenAndServe(":8080", a.Middleware(mux))
//
// The agent treats a request like a local root span. Its name is the method and the pattern
// of the route, such as "GET /users/{id}", or the method alone if there is no pattern. If next
// is an [http.ServeMux] or has its Handler method, the pattern is known before next serves the
// request, and all goroutines of the request are labelled with it. Otherwise the pattern is
// known only when next has set it in the request.
//
// Middleware and otelhttp can be combined in either order: a request is counted once, under
// the name of the outer one. The handler passes the ResponseWriter unchanged, so that next can
// flush and hijack, and does not recover panics. It costs about a microsecond per request. A
// disabled agent returns next.
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
				tracectx.SetName(ctx, routeName(method, pattern)) // for an outer Middleware without the pattern
				next.ServeHTTP(w, r)
				return
			}
			defer func() { // deferred, because next may panic
				if r.Pattern != "" {
					tracectx.SetName(ctx, routeName(method, r.Pattern))
				}
			}()
			next.ServeHTTP(w, r)
		})
	})
}

// router is the method of http.ServeMux that returns the pattern of a request.
type router interface {
	Handler(r *http.Request) (h http.Handler, pattern string)
}

// routeName returns the name of a request. The pattern may include a method.
func routeName(method, pattern string) string {
	if pattern == "" {
		return method
	}
	if before, _, found := strings.Cut(pattern, " "); found && !strings.Contains(before, "/") {
		return pattern
	}
	return method + " " + pattern
}

// methodOf returns the method of a request, or HTTP if it is not a standard one. This bounds
// the number of names.
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

// Transport returns an [http.RoundTripper] for the application's HTTP clients. It calls next, or
// [http.DefaultTransport] if next is nil, and counts the response bodies that are not closed, by
// root span and by the line that made the request:
//
//	http.DefaultClient.Transport = a.Transport(nil)
//
// A leak of unclosed bodies is then reported with its line within about two garbage collections,
// before any goroutine is old. See [tracectx.Processor.Transport] for what counts and the cost, about 4 µs
// per request. A disabled agent returns next, or [http.DefaultTransport].
func (a *Agent) Transport(next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport //nolint:forbidigo // as http.Client does
	}
	if a.engine == nil {
		return next
	}
	return a.processor.Transport(next)
}
