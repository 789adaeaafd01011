// SPDX-License-Identifier: Apache-2.0

package host

// Connections has the numbers of connection-oriented sockets of this process: TCP over IPv4
// and IPv6, and Unix sockets of the types stream and seqpacket. A leak of client connections
// shows in Dialed, a leak of server connections in Accepted.
//
// A connection counts as long as its descriptor is open, even after the peer has closed it.
type Connections struct {
	// Accepted counts connections whose local address is one that this process listens on.
	Accepted int
	// Dialed counts all other connections, including those being established. A connection
	// whose listener is closed, that another process has passed on, or that came through a
	// transparent proxy also counts as dialed: its socket does not differ from a dialed one.
	Dialed int
	// Listening counts listeners.
	Listening int
}
