// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"io"
	"log/slog"
	"net"
	"time"

	"example.com/corpus/kit"
	paho "github.com/eclipse/paho.mqtt.golang"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
)

// startMQTT starts a broker and returns its address.
func startMQTT() string {
	s := mqtt.New(&mqtt.Options{InlineClient: true, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	kit.Must(s.AddHook(new(auth.AllowHook), nil))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	kit.Must(err)
	address := l.Addr().String()
	_ = l.Close()
	kit.Must(s.AddListener(listeners.NewTCP(listeners.Config{ID: "tcp", Address: address})))
	kit.Must(s.Serve())
	return address
}

// mqttBroker embeds mochi-mqtt's broker, to which devices connect with a keep-alive of
// 30 s and stay for a minute and a half on average. It has no spans.
func mqttBroker() kit.Program {
	return kit.Program{Name: "mqtt-broker", Library: "mochi-mqtt/server/v2", Spans: kit.None, Run: func(w *kit.World) {
		w.Role("devices", startMQTT())
	}, Roles: map[string]func(*kit.Role){"devices": mqttDevices}}
}

func mqttDevices(r *kit.Role) {
	var address string
	r.Args(&address)
	r.Say("ok")
	r.Arrivals(r.Ctx, kit.Wave(3), func() {
		go func() {
			c := connectMQTT(address)
			c.Subscribe("commands", 0, func(paho.Client, paho.Message) {})
			kit.Sleep(r.Ctx, kit.Around(90*time.Second))
			c.Disconnect(100)
		}()
	})
}

func connectMQTT(address string) paho.Client {
	c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + address).SetKeepAlive(30 * time.Second).SetConnectTimeout(5 * time.Second))
	c.Connect().WaitTimeout(10 * time.Second)
	return c
}

// mqttBridges is the client's side: a service has a connection for each site that is
// online, for two minutes on average, and publishes its readings.
func mqttBridges() kit.Program {
	return kit.Program{Name: "mqtt-bridges", Library: "eclipse/paho.mqtt.golang", Spans: kit.Private, Run: func(w *kit.World) {
		address := w.Role("broker", nil)
		w.Load(kit.Wave(0.5), func() {
			c := siteOnline(w, address)
			for end := time.Now().Add(kit.Around(2 * time.Minute)); time.Now().Before(end); kit.Sleep(w.Ctx, 5*time.Second) {
				c.Publish("readings", 0, false, "21.5")
			}
			c.Disconnect(100)
		})
	}, Roles: map[string]func(*kit.Role){"broker": func(r *kit.Role) { r.Say(startMQTT()) }}}
}

func siteOnline(w *kit.World, address string) paho.Client {
	_, end := w.StartSpan(w.Ctx, "site.online")
	defer end()
	return connectMQTT(address)
}
