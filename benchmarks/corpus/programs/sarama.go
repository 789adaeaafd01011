// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"fmt"
	"net/http"

	"example.com/corpus/kit"
	"github.com/IBM/sarama"
)

// saramaProducer imitates IBM/sarama#2679 and #1672: a producer for each request,
// never closed.
func saramaProducer() kit.Program {
	return kit.Program{Name: "sarama-producer", Library: "IBM/sarama", Want: kit.Leak("POST /order", "IBM/sarama", "rcrowley/go-metrics", "programs.produce"), Run: func(w *kit.World) {
		addr := w.Role("kafka", nil)
		mux := http.NewServeMux()
		mux.HandleFunc("/order", w.Handle("POST /order", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprintln(rw, produce(addr)) }))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/order", Method: http.MethodPost, Rate: kit.Constant(2)})
	}}
}

func produce(addr string) error {
	c := sarama.NewConfig()
	c.Version = sarama.V2_1_0_0
	c.Producer.Return.Successes = true
	p, err := sarama.NewAsyncProducer([]string{addr}, c)
	if err != nil {
		return err
	}
	p.Input() <- &sarama.ProducerMessage{Topic: "orders", Value: sarama.StringEncoder("x")}
	select {
	case <-p.Successes():
		return nil
	case err := <-p.Errors():
		return err
	}
}
