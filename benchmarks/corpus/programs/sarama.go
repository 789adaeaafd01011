package programs

import (
	"fmt"
	"net/http"

	"example.com/corpus/kit"
	"github.com/IBM/sarama"
)

// mockReporter is what sarama's mock broker reports to.
type mockReporter struct{}

func (mockReporter) Error(...any) {}

func (mockReporter) Errorf(string, ...any) {}

func (mockReporter) Fatal(...any) {}

func (mockReporter) Fatalf(string, ...any) {}

func (mockReporter) Helper() {}

func (mockReporter) Log(...any) {}

func (mockReporter) Logf(string, ...any) {}

func saramaBroker(r *kit.Role) {
	b := sarama.NewMockBroker(mockReporter{}, 1)
	b.SetHandlerByMap(map[string]sarama.MockResponse{
		"MetadataRequest":    sarama.NewMockMetadataResponse(mockReporter{}).SetBroker(b.Addr(), b.BrokerID()).SetLeader("orders", 0, b.BrokerID()),
		"ProduceRequest":     sarama.NewMockProduceResponse(mockReporter{}),
		"ApiVersionsRequest": sarama.NewMockApiVersionsResponse(mockReporter{}),
	})
	r.Say(b.Addr())
}

// saramaProducer imitates IBM/sarama#2679 and #1672: a producer for each request,
// never closed.
func saramaProducer() kit.Program {
	return kit.Program{Name: "sarama-producer", Library: "IBM/sarama", Want: kit.Leak("POST /order", "IBM/sarama", "rcrowley/go-metrics", "programs.produce"), Run: func(w *kit.World) {
		addr := w.Role("broker", nil)
		mux := http.NewServeMux()
		mux.HandleFunc("/order", w.Handle("POST /order", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprintln(rw, produce(addr)) }))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/order", Method: http.MethodPost, Rate: kit.Constant(2)})
	}, Roles: map[string]func(*kit.Role){"broker": saramaBroker}}
}

func produce(addr string) error {
	c := sarama.NewConfig()
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
