// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// order is the JSON document of the application.
type order struct {
	ID    string            `json:"id"`
	User  string            `json:"user"`
	Items []item            `json:"items"`
	Meta  map[string]string `json:"meta"`
	Total float64           `json:"total"`
	Hash  uint64            `json:"hash"`
}

type item struct {
	SKU   string   `json:"sku"`
	Name  string   `json:"name"`
	Qty   int      `json:"qty"`
	Price float64  `json:"price"`
	Tags  []string `json:"tags"`
}

// someOrder returns an order of twelve items as JSON.
func someOrder() ([]byte, error) {
	o := order{ID: "x", User: "someone@example.com", Meta: map[string]string{"region": "eu", "tier": "gold", "channel": "web"}}
	for i := range 12 {
		o.Items = append(o.Items, item{SKU: fmt.Sprint("sku-", i), Name: "some thing of some sort", Qty: i, Price: 9.99 * float64(i), Tags: []string{"a", "b"}})
	}
	return json.Marshal(o)
}

// discardSpans is a span exporter that drops all spans.
type discardSpans struct{}

func (discardSpans) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return nil }
func (discardSpans) Shutdown(context.Context) error                             { return nil }

// appProvider returns the tracer provider of an application. It samples all spans and
// exports them in batches.
func appProvider(processors ...sdktrace.SpanProcessor) *sdktrace.TracerProvider {
	options := []sdktrace.TracerProviderOption{sdktrace.WithSampler(sdktrace.AlwaysSample()), sdktrace.WithBatcher(discardSpans{})}
	for _, p := range processors {
		options = append(options, sdktrace.WithSpanProcessor(p))
	}
	return sdktrace.NewTracerProvider(options...)
}

// application returns a Gin service with otelgin. A request has three spans, decodes
// JSON and encodes JSON.
func application(tp trace.TracerProvider, stored []byte) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	tracer := tp.Tracer("app")
	r := gin.New()
	r.Use(gin.Recovery(), otelgin.Middleware("app", otelgin.WithTracerProvider(tp)))
	r.GET("/api/orders/:id", func(c *gin.Context) {
		ctx := c.Request.Context()
		o, err := loadOrder(ctx, tracer, stored)
		if err != nil {
			_ = c.AbortWithError(http.StatusInternalServerError, err)
			return
		}
		o.ID = c.Param("id")
		price(ctx, tracer, o)
		c.JSON(http.StatusOK, o)
	})
	return r
}

func loadOrder(ctx context.Context, t trace.Tracer, stored []byte) (*order, error) {
	_, span := t.Start(ctx, "db.load")
	defer span.End()
	o := new(order)
	return o, json.Unmarshal(stored, o)
}

func price(ctx context.Context, t trace.Tracer, o *order) {
	_, span := t.Start(ctx, "price")
	defer span.End()
	h := fnv.New64a()
	for i := range o.Items {
		o.Total += float64(o.Items[i].Qty) * o.Items[i].Price
		_, _ = io.WriteString(h, o.Items[i].SKU) // never fails
	}
	o.Hash = h.Sum64()
}

var errAnswer = errors.New("the application did not answer with status 200")
