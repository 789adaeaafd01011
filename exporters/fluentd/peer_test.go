// SPDX-License-Identifier: Apache-2.0

package fluentd_test

import (
	"testing"

	"github.com/gmpulse/gmpulse/internal/peers/forward"
)

type (
	mode  = forward.Mode
	peer  = forward.Peer
	entry = forward.Entry
)

const (
	ack         = forward.Ack
	hang        = forward.Hang
	noAck       = forward.NoAck
	heldAck     = forward.HeldAck
	reset       = forward.Reset
	dropUnacked = forward.DropUnacked
	wrongAck    = forward.WrongAck
	closeAtOnce = forward.CloseAtOnce
	onePerConn  = forward.OnePerConn
	sharedKey   = forward.SharedKey
	speaksFirst = forward.SpeaksFirst
)

func newPeer(t *testing.T, m mode) *peer { t.Helper(); return forward.New(t, m) }

func newUnixPeer(t *testing.T, m mode) *peer { t.Helper(); return forward.NewUnix(t, m) }
