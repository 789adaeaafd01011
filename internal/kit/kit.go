// SPDX-License-Identifier: Apache-2.0

// Package kit tests examples/deploy with the real types of those who read it:
// Compose's own loader, the API of Kubernetes and of the Prometheus operator. It is
// a module of its own, so that nobody else carries them.
package kit
