// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"

	"example.com/corpus/kit"
)

// foreignContext makes contexts that are never canceled, under a parent of the program's
// own type, for which the context package starts a goroutine that passes the
// cancellation on, as its documentation says.
func foreignContext() kit.Program {
	return kit.Program{Name: "context-foreign-parent", Library: "context", Want: kit.Leak("POST /join", "context.(*cancelCtx).propagateCancel", "heldout.join"), Run: func(w *kit.World) {
		parent := foreign{w.Ctx, make(chan struct{})}
		w.ServeRoute("POST /join", 3, func(context.Context) { join(parent) })
	}}
}

// foreign is a context of a type that package context does not know.
type foreign struct {
	context.Context
	done chan struct{}
}

func (f foreign) Done() <-chan struct{} { return f.done }

func (f foreign) Value(any) any { return nil }

// member has a context, and leave is never called.
type member struct {
	ctx   context.Context
	leave context.CancelFunc
}

func join(parent context.Context) member {
	ctx, cancel := context.WithCancel(parent)
	return member{ctx, cancel}
}
