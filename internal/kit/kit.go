// SPDX-License-Identifier: Apache-2.0

// Package kit tests examples/deploy with Compose's loader and the API types of Kubernetes
// and the Prometheus operator. It is a separate module, so that no other module depends on
// them.
package kit
