// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/gmpulse/gmpulse/exporters/page"
)

// The page works under any prefix, because its addresses are relative.
func ExampleNew() {
	p, err := page.New(page.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/debug/gmpulse/", http.StripPrefix("/debug/gmpulse", p.Handler()))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost/debug/gmpulse/", http.NoBody))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	// Output: 200 text/html; charset=utf-8
}
