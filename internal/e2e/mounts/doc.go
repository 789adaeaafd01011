// SPDX-License-Identifier: Apache-2.0

// Package mounts is its tests: the live page mounted in other people's routers.
package mounts
