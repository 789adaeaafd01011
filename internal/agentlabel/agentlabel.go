// SPDX-License-Identifier: Apache-2.0

// Package agentlabel has the pprof label that separates the cost of the agent from the cost of
// the application in profiles.
package agentlabel

// Key is the key of the label. Every goroutine that the agent starts has it. The value is the part of
// the agent.
const Key = "gmpulse"
