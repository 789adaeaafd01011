// SPDX-License-Identifier: Apache-2.0

//go:build thin

package main

import "example.com/corpus/kit"

// heldOutPrograms returns none: with the tag thin, which CI uses, nothing that only the
// held-out programs need is compiled, such as an etcd server.
func heldOutPrograms() []kit.Program { return nil }
