// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"slices"
	"strings"
)

// hintID identifies a hint. The page has the Chinese text of each hint under the same id.
type hintID string

// hintText is the English text of a hint. Names in braces are placeholders.
type hintText struct {
	id   hintID
	text string
	// slow hints also apply to a group whose members end, but later than before.
	slow bool
}

// hintTable returns all hints. A hint names the most frequent mistake that leads to a group.
func hintTable() []hintText {
	return slices.Concat(clientHints(), objectHints(), syncHints(), channelHints())
}

// clientHints are the hints for known clients, servers and pools.
func clientHints() []hintText {
	return []hintText{
		{id: "http-body", text: "an HTTP response whose body is not closed, or not read to its end, keeps its connection and two goroutines; " +
			"so does an http.Transport that is created for each request and never closed"},
		{id: "http-idle", text: "these connections are idle: each new http.Transport keeps connections of its own; share one, or call CloseIdleConnections"},
		{id: "http-stream", text: "an HTTP/2 response whose body is not closed, or not read to its end, keeps its stream and a goroutine"},
		{id: "http-dial", text: "the upstream does not accept connections: set a dial timeout", slow: true},
		{id: "grpc-client", text: "a grpc.ClientConn is created for each call, or never closed: create one and share it"},
		{id: "grpc-stream", text: "a stream is not read to its end, and its context is not cancelled"},
		{id: "sql-open", text: "sql.Open is called for each request: open one DB and share it"},
		{id: "sql-tx", text: "a sql.Tx is neither committed nor rolled back"},
		{id: "sql-rows", text: "sql.Rows are not closed"},
		{id: "mysql-watcher", text: "each connection of a sql.DB has one such goroutine: call SetMaxOpenConns, and open one DB and share it"},
		{id: "context-parent", text: "a context derived from a custom parent is never cancelled: call its cancel function"},
		{id: "context", text: "a context is never cancelled: call its cancel function"},
		{id: "dns", text: "DNS does not answer: set a timeout", slow: true},
		{id: "dial", text: "the peer does not accept connections: set a dial timeout", slow: true},

		{id: "sql-pool", text: "the pool of connections is exhausted: sql.Rows or a sql.Tx is not closed, or SetMaxOpenConns is too low", slow: true},
		{id: "pgx-pool", text: "the pool of connections is exhausted: Rows are not closed, a Tx is not ended or a Conn is not released on some path, or MaxConns is too low", slow: true},
		{id: "redis-pool", text: "the pool of the Redis client is exhausted: blocking commands hold its connections, a Conn is not closed, or PoolSize is too low", slow: true},
		{id: "mongo-pool", text: "the pool of the MongoDB client is exhausted: a Cursor or a Session is not closed, or MaxPoolSize is too low", slow: true},
		{id: "pool", text: "the pool is exhausted: a resource is not released on some path, or the pool is too small", slow: true},
	}
}

// objectHints are the hints for goroutines inside libraries, and for calls of libraries.
func objectHints() []hintText {
	return []hintText{
		{id: "made", text: "{call}, called at {line}, starts goroutines that end when the object is closed: close it, or create one and share it"},
		{id: "started", text: "{call}, called at {line}, starts a goroutine that does not end: close or read to its end what the call returned, or cancel its context"},
		{id: "library", text: "they run only code of {package}: look for an object of that package that is created repeatedly and never closed"},
		{id: "call", text: "{call} does not return: limit the call with a context or a timeout", slow: true},
	}
}

// syncHints are the hints for locks and other synchronization.
func syncHints() []hintText {
	return []hintText{
		{id: "lock-holder", text: "many goroutines wait for one lock; a goroutine in the same function may hold it: {holder}"},
		{id: "lock-pair", text: "each waits for a lock that may be held by another goroutine of the same object, which waits itself: {holder}"},
		{id: "lock", text: "a lock is not released: Unlock is missing on some path, or the holder of the lock waits for something else"},
		{id: "lock-slow", text: "a lock is held for longer than before: do slow work without holding it", slow: true},
		{id: "cond", text: "Wait of a sync.Cond does not return: Signal or Broadcast is missing on some path, or was called before Wait"},
		{id: "wait-group", text: "WaitGroup.Wait does not return: Done is not called on every path, Add is called too often, or a goroutine of the group is blocked"},
		{id: "errgroup-wait", text: "Wait of an errgroup does not return: one of its functions is blocked and ignores the context of the group"},
		{id: "errgroup-limit", text: "Go of an errgroup waits because the group is at its limit: its functions do not end, or one of them calls Go of the same group", slow: true},
		{id: "errgroup-nested", text: "a function of an errgroup calls Go of a group at its limit, and so waits for itself: start nested work in another group"},
		{id: "semaphore", text: "Acquire waits for a weighted semaphore: Release is not called on every path, or the requested weight exceeds its size", slow: true},
		{id: "singleflight", text: "all wait for one call of a singleflight.Group: limit that call with a timeout, or use DoChan with a select on the context", slow: true},
	}
}

// channelHints are the hints for channels, timers and external events.
func channelHints() []hintText {
	return []hintText{
		{id: "send", text: "no goroutine receives: the receiver returned early; add a buffer to the channel, or select on a context too"},
		{id: "receive", text: "no goroutine sends or closes: the sender returned early, a context is never cancelled, or a ticker was stopped, which does not close its channel"},
		{id: "ticker", text: "a loop over the channel of time.Tick or of a Ticker never ends, not even after Stop: select on a context too"},
		{id: "select", text: "none of the cases becomes ready: a context is not passed on or never cancelled; in a loop, time.After starts again each time"},
		{id: "forever", text: "a select without cases never ends"},
		{id: "sleep", text: "a loop that sleeps has no way to end: pass a context to it"},
		{id: "retry", text: "they wait between attempts: limit the attempts, or stop when the context is done", slow: true},
		{id: "pipe-write", text: "the other end of the pipe is not read: the reader returned without CloseWithError"},
		{id: "pipe-read", text: "the other end of the pipe is neither written nor closed: the writer returned without Close or CloseWithError"},
		{id: "upstream", text: "an upstream does not answer: pass a context with a timeout, or set the timeout of the client", slow: true},
		{id: "peer", text: "they wait for the peer of a connection: only a deadline, a cancelled context or closing the connection ends the wait"},
		{id: "process", text: "a child process does not end: start it with exec.CommandContext, and set WaitDelay"},
	}
}

// hintOf returns a hint with its placeholders replaced: values are pairs of a placeholder and its
// value. An unknown hint, such as "", has no text.
func hintOf(id hintID, values ...string) hintText {
	for _, h := range hintTable() {
		if h.id == id {
			for i := 0; i+1 < len(values); i += 2 {
				h.text = strings.ReplaceAll(h.text, "{"+values[i]+"}", values[i+1])
			}
			return h
		}
	}
	return hintText{}
}
