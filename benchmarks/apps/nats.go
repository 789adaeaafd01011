// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

var errNotReady = errors.New("the NATS server does not accept connections")

func serveNATS(config) (string, error) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true})
	if err != nil {
		return "", err
	}
	go s.Start()
	if !s.ReadyForConnections(time.Minute) {
		return "", errNotReady
	}
	return s.ClientURL(), nil
}

// dialNATS returns a publisher of batches. Two other connections subscribe to its subject.
func dialNATS(address string, worker int) (func() (int, error), error) {
	const batch = 20
	subject := fmt.Sprintf("orders.%d", worker)
	for range 2 {
		c, err := nats.Connect(address)
		if err != nil {
			return nil, err
		}
		if _, err := c.Subscribe(subject, func(*nats.Msg) {}); err != nil {
			return nil, err
		}
		if err := c.Flush(); err != nil { // the server knows the subscription
			return nil, err
		}
	}
	c, err := nats.Connect(address)
	if err != nil {
		return nil, err
	}
	message := make([]byte, 200)
	return func() (int, error) {
		for range batch {
			if err := c.Publish(subject, message); err != nil {
				return 0, err
			}
		}
		return batch, nil
	}, nil
}
