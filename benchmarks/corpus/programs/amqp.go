// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync/atomic"
	"time"

	"example.com/corpus/kit"
)

// framedConsumers imitates rabbitmq/amqp091-go's consumers. There is no broker that
// runs in a process of Go, so that a framed protocol of our own stands for AMQP: a
// connection has a reader and a heartbeater, each consumer is a goroutine that ranges
// over a channel of deliveries, and consumers are added while a queue is long and
// cancelled when it is short, as KEDA does with pods. A delivery is a root span.
func framedConsumers() kit.Program {
	return kit.Program{Name: "amqp-consumers", Library: "a framed protocol like rabbitmq/amqp091-go", Run: func(w *kit.World) {
		conn, err := net.Dial("tcp", w.Role("broker", nil))
		kit.Must(err)
		c := &framedConn{conn: conn, deliveries: make(chan []byte, 1000)}
		go c.reader()
		go c.heartbeater(w.Ctx)
		cancels := []context.CancelFunc{}
		for kit.Sleep(w.Ctx, 2*time.Second) {
			switch queued := len(c.deliveries); {
			case queued > 10 && len(cancels) < 120:
				for range 4 {
					ctx, cancel := context.WithCancel(w.Ctx)
					cancels = append(cancels, cancel)
					go c.consume(ctx, w)
				}
			case queued == 0 && len(cancels) > 4 && c.busy.Load() < int64(len(cancels))/2:
				cancels[len(cancels)-1]()
				cancels = cancels[:len(cancels)-1]
			}
		}
	}, Roles: map[string]func(*kit.Role){"broker": framedBroker}}
}

type framedConn struct {
	conn       net.Conn
	deliveries chan []byte
	busy       atomic.Int64
}

func (c *framedConn) reader() {
	in := bufio.NewReader(c.conn)
	for {
		var n uint32
		if binary.Read(in, binary.BigEndian, &n) != nil {
			return
		}
		frame := make([]byte, n)
		if _, err := io.ReadFull(in, frame); err != nil {
			return
		}
		c.deliveries <- frame
	}
}

func (c *framedConn) heartbeater(ctx context.Context) {
	for kit.Sleep(ctx, 10*time.Second) {
		_, _ = c.conn.Write([]byte{8, 0, 0, 0, 0, 0, 0, 0xCE})
	}
}

func (c *framedConn) consume(ctx context.Context, w *kit.World) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.deliveries:
			c.busy.Add(1)
			w.Root("invoices deliver", func(ctx context.Context) { kit.Sleep(ctx, kit.Around(8*time.Second)) })
			c.busy.Add(-1)
		}
	}
}

func framedBroker(r *kit.Role) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	kit.Must(err)
	r.Say(l.Addr().String())
	conn, err := l.Accept()
	kit.Must(err)
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	body := make([]byte, 128)
	frame := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
	r.Arrivals(r.Ctx, kit.Wave(12), func() { _, _ = conn.Write(frame) })
}
