// SPDX-License-Identifier: Apache-2.0

package main

import "os"

// app is an application whose cost is measured.
type app struct {
	name     string
	unit     string  // what the load sends
	rate     float64 // units a second to each of two servers: about a quarter of a core
	workers  int     // of the load, each with its own period
	spans    bool    // there is a library that makes spans of the units
	database bool    // it needs PostgreSQL
	// serve starts the application in this process and returns its address. It serves until the
	// process ends.
	serve func(c config) (address string, err error)
	// dial connects one worker to the application. send sends some units, waits for the answers
	// if there are any, and returns how many units it sent.
	dial func(address string, worker int) (send func() (units int, err error), err error)
}

// config is what an application needs to know. The parent hands it to the server process.
type config struct {
	Spans    bool   // make spans and export them in batches
	Idle     bool   // never start the agent: an A/A comparison
	Redis    string // address
	Postgres string // URL
	Upstream string // address of the server behind a proxy
}

func apps() []app {
	return []app{
		{name: "Gin, gorm on PostgreSQL, go-redis", unit: "request", rate: 400, workers: 16, spans: true, database: true, serve: serveGin, dial: dialGin},
		{name: "grpc-go, unary", unit: "request", rate: 3000, workers: 16, spans: true, serve: serveGRPC, dial: dialGRPC},
		{name: "Caddy, reverse proxy", unit: "request", rate: 2000, workers: 16, serve: serveCaddy, dial: dialCaddy},
		{name: "NATS server, two subscribers", unit: "message", rate: 40_000, workers: 8, serve: serveNATS, dial: dialNATS},
	}
}

// ballast returns a live heap without pointers, as a service has one. Without it the heap is so
// small that the agent's part of it makes collections rarer.
func ballast() []byte {
	b := make([]byte, 64<<20)
	for i := 0; i < len(b); i += os.Getpagesize() {
		b[i] = 1
	}
	return b
}
