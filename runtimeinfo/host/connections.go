// SPDX-License-Identifier: Apache-2.0

package host

// Connections counts the connection-oriented sockets of this process: TCP over
// IPv4 and IPv6, and Unix sockets of the types stream and seqpacket. A leak of
// clients' connections shows in Dialed; sessions of this process's own clients
// show in Accepted.
//
// A connection counts for as long as its descriptor is open, also when the peer has
// closed or reset it.
type Connections struct {
	// Accepted counts connections whose local address is one that this process
	// listens on.
	Accepted int
	// Dialed counts all other connections, among them those that are still being
	// established. Connections accepted by a listener that has been closed since, by
	// another process that passed them on, or through a transparent proxy (whose
	// local address is foreign) count here too: nothing about the socket tells them
	// from dialed ones.
	Dialed int
	// Listening counts listeners.
	Listening int
}
