// SPDX-License-Identifier: Apache-2.0

package guard_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/internal/guard"
)

// chain and fork are errors that may wrap themselves.
type chain struct{ next error }

func (c *chain) Error() string { return "chain" }
func (c *chain) Unwrap() error { return c.next }

type fork struct{ next []error }

func (f *fork) Error() string   { return "fork" }
func (f *fork) Unwrap() []error { return f.next }

// uncomparable is an error that == does not compare with another one of its type.
type uncomparable []string

func (u uncomparable) Error() string { return "uncomparable" }

// Errors that wrap themselves neither hang nor overflow the stack.
func TestErrorsThatWrapThemselves(t *testing.T) {
	c := &chain{}
	c.next = fmt.Errorf("again: %w", c)
	f := &fork{}
	f.next = []error{f, errors.New("other"), f}
	wide := &fork{next: make([]error, 1<<20)}
	for name, err := range map[string]error{"chain": c, "fork": f, "wide": wide, "uncomparable": uncomparable{"a"}, "pair": errors.Join(uncomparable{"a"}, uncomparable{"a"})} {
		t.Run(name, func(t *testing.T) { use(t, guard.Do(func() error { return err })) })
	}
	deep := context.Canceled
	for range 40 {
		deep = errors.Join(fmt.Errorf("deep: %w", deep))
	}
	if err := guard.Do(func() error { return deep }); !errors.Is(err, context.Canceled) {
		t.Error("a wrapped context.Canceled is not found")
	}
}

// A panic with a value that contains itself, which package fmt cannot print, is an error.
func TestPanicValuesThatContainThemselves(t *testing.T) {
	cyclic := map[string]any{}
	cyclic["self"] = cyclic
	list := []any{nil}
	list[0] = list
	for want, value := range map[string]any{
		"panic: a value of type map[string]interface {}":   cyclic,
		"panic: a value of type []interface {}":            list,
		"panic: a value of type *map[string]interface {}":  &cyclic,
		"panic: a value of type struct { X interface {} }": struct{ X any }{cyclic},
		"panic: 42": 42,
		"panic: oh": "oh",
	} {
		if err := guard.Do(func() error { panic(value) }); !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q, want %q", err, want)
		}
	}
}
