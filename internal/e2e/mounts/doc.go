// SPDX-License-Identifier: Apache-2.0

// Package mounts tests the live page in the routers of web frameworks.
package mounts
