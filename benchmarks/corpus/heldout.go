// SPDX-License-Identifier: Apache-2.0

//go:build !thin

package main

import (
	"example.com/corpus/heldout"
	"example.com/corpus/kit"
)

func heldOutPrograms() []kit.Program { return heldout.All() }
