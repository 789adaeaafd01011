// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestReadable(t *testing.T) {
	deep := "corp.example.com/" + strings.Repeat("platform/", 15)
	for _, tt := range []struct{ function, want string }{
		{"main.main", "main.main"},
		{"", "unknown"},
		{"github.com/nats-io/nats%2ego.(*Subscription).nextMsgWithContext", "github.com/nats-io/nats.go.(*Subscription).nextMsgWithContext"},
		{"gopkg.in/yaml%2ev3.Unmarshal", "gopkg.in/yaml.v3.Unmarshal"},
		{"example.com/a%zz.F", "example.com/a%zz.F"}, // not an escape
		{"shop.Map[go.shape.int]", "shop.Map[...]"},
		{"shop.Map[go.shape.struct { example.com/x%2ego.A [3]map[string]int; B int }].func1", "shop.Map[...].func1"},
		{"shop.(*Cache[go.shape.string]).Do[go.shape.int].func2", "shop.(*Cache[...]).Do[...].func2"},
		{"shop.Map[...]", "shop.Map[...]"},
		{"shop.Map[go.shape.struct { " + strings.Repeat("Field int; ", 90) + "}]", "shop.Map[...]"},
		{deep + "store.(*Client).Get", ".../" + strings.Repeat("platform/", 10) + "store.(*Client).Get"},
		{"example.com/" + strings.Repeat("x", 70) + "/" + strings.Repeat("y", 90) + ".F", ".../" + strings.Repeat("y", 90) + ".F"},
		{"main." + strings.Repeat("handler.", 20) + "func1", "..." + strings.Repeat("handler.", 14) + "func1"},
		{"main." + strings.Repeat("é", 80), "..." + strings.Repeat("é", 58)},
	} {
		got := readable(tt.function)
		if got != tt.want {
			t.Errorf("%q reads %q, want %q", tt.function, got, tt.want)
		}
		if len(got) > maxName || !utf8.ValidString(got) {
			t.Errorf("%q has %d bytes", got, len(got))
		}
	}
}

func FuzzReadable(f *testing.F) {
	f.Add("shop.(*Cache[go.shape.string]).Do[go.shape.int].func2")
	f.Add("]]%2e[[/./[")
	f.Add(strings.Repeat("/a.b", 60))
	f.Fuzz(func(t *testing.T, function string) {
		got := readable(function)
		if got == "" && !strings.Contains(function, "[") {
			t.Errorf("%q reads \"\"", function)
		}
		if len(got) > maxName || utf8.ValidString(function) && !strings.Contains(function, "%") && !utf8.ValidString(got) {
			t.Errorf("%q reads %q", function, got)
		}
	})
}

// waitsWith is instantiated with a type whose name has hundreds of characters.
func waitsWith[T any](stop <-chan T) { <-stop }

type wide struct {
	CustomerIdentifier, OrderIdentifier, ShipmentIdentifier, InvoiceIdentifier, PaymentIdentifier string
	Amounts                                                                                       [7]map[string][]float64
}

// Key.String shows readable names; the fields keep the raw ones.
func TestKeyStringIsReadable(t *testing.T) {
	stop := make(chan struct{ wide })
	defer close(stop)
	go waitsWith(stop)
	var g *Group
	for deadline := time.Now().Add(20 * time.Second); g == nil; {
		s, err := NewSurveyor(SurveyConfig{}).Take(t.Context())
		if err != nil || time.Now().After(deadline) {
			t.Fatal("no such goroutine", err)
		}
		for i := range s.Groups {
			if c := &s.Groups[i]; c.Class == ChanReceive && strings.Contains(c.Entry, "waitsWith") {
				g = c
			}
		}
	}
	if !strings.Contains(g.Site.Function, "go.shape.struct") {
		t.Errorf("the raw name is %q", g.Site.Function)
	}
	const name = "github.com/gmpulse/gmpulse/runtimeinfo/goroutines.waitsWith[...]"
	if got := g.String(); !strings.HasPrefix(got, "chan receive at "+name+" (names_test.go:") || !strings.HasSuffix(got, " of "+name) {
		t.Errorf("got %q", got)
	}
	if got := (Key{}).String(); got != "running at unknown" {
		t.Errorf("an unknown place reads %q", got)
	}
	if got := (Site{File: "/src/shop/cart.go", Line: 8}).String(); got != "unknown (cart.go:8)" {
		t.Errorf("an unknown function reads %q", got)
	}
}
