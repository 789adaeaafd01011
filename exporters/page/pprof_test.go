// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/internal/profiles"
)

// Profiles are below the page under any prefix, unless they are switched off.
func TestProfilesBelowThePage(t *testing.T) {
	get := func(c page.Config, path string) *httptest.ResponseRecorder {
		e, err := page.New(c)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		e.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	for _, path := range []string{"/debug/gmpulse/pprof/goroutine", "/pprof/goroutine", "/api/v1/x/pprof/goroutine"} {
		w := get(page.Config{}, path)
		_, err := profiles.Decode(w.Body.Bytes())
		if isAPI := path[1] == 'a'; isAPI != (w.Code == http.StatusNotFound) || !isAPI && err != nil {
			t.Errorf("%s: HTTP %d, %v", path, w.Code, err)
		}
	}
	if w := get(page.Config{}, "/debug/gmpulse/pprof"); w.Code != http.StatusMovedPermanently || w.Header().Get("Location") != "./pprof/" {
		t.Errorf("without a slash: HTTP %d to %q", w.Code, w.Header().Get("Location"))
	}
	if w := get(page.Config{NoProfiles: true}, "/debug/gmpulse/pprof/goroutine"); w.Code == http.StatusOK {
		t.Errorf("switched off: HTTP %d", w.Code)
	}
}
