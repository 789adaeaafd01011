// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/extra/redisotel/v9"
	"github.com/redis/go-redis/v9"
	"github.com/uptrace/opentelemetry-go-extra/otelgorm"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

const storedOrders = 1000

// order and item are tables.
type order struct {
	ID    uint   `json:"id"`
	User  string `json:"user"`
	Items []item `json:"items"`
	Views int64  `json:"views" gorm:"-"`
}

type item struct {
	ID      uint    `json:"-"`
	OrderID uint    `json:"-" gorm:"index"`
	SKU     string  `json:"sku"`
	Price   float64 `json:"price"`
	Stock   int     `json:"stock" gorm:"-"`
}

type stock struct {
	SKU   string `gorm:"primaryKey"`
	Count int
}

// shop is a Gin service with a database and a cache.
type shop struct {
	db    *gorm.DB
	cache *redis.Client
}

func serveGin(c config) (string, error) {
	db, err := openDatabase(c.Postgres)
	if err != nil {
		return "", err
	}
	s := &shop{db, redis.NewClient(&redis.Options{Addr: c.Redis, MaintNotificationsConfig: nil})}
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(gin.Recovery())
	if c.Spans {
		r.Use(otelgin.Middleware("shop"))
		err := errors.Join(db.Use(otelgorm.NewPlugin(otelgorm.WithoutMetrics())), redisotel.InstrumentTracing(s.cache))
		if err != nil {
			return "", err
		}
	}
	r.GET("/orders/:id", s.order)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go func() { _ = http.Serve(l, r) }() //nolint:gosec // serves the load of this benchmark
	return l.Addr().String(), nil
}

func openDatabase(url string) (*gorm.DB, error) {
	db, err := gorm.Open(postgres.Open(url), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		return nil, err
	}
	pool, err := db.DB()
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(16)
	pool.SetMaxIdleConns(16)
	return db, nil
}

// fill creates the tables and their rows.
func fill(url string) error {
	db, err := openDatabase(url)
	if err != nil {
		return err
	}
	if err := db.AutoMigrate(&order{}, &item{}, &stock{}); err != nil {
		return err
	}
	var orders []order
	for i := range storedOrders {
		o := order{ID: uint(i + 1), User: fmt.Sprintf("user-%d@example.com", i)}
		for j := range 4 {
			o.Items = append(o.Items, item{SKU: fmt.Sprintf("sku-%d", j), Price: 9.99 * float64(j)})
		}
		orders = append(orders, o)
	}
	for j := range 4 {
		if err := db.Create(&stock{SKU: fmt.Sprintf("sku-%d", j), Count: j}).Error; err != nil {
			return err
		}
	}
	err = db.CreateInBatches(orders, 100).Error
	pool, _ := db.DB() // it worked above
	return errors.Join(err, pool.Close())
}

// order answers with an order. With spans, the request is a local root with a span for each
// command and query. The stock is queried without the context of the request, which is a common
// mistake, so that its span is a root as well.
func (s *shop) order(c *gin.Context) {
	ctx := c.Request.Context()
	id := c.Param("id")
	views, err := s.cache.Incr(ctx, "views:"+id).Result()
	if err != nil {
		_ = c.AbortWithError(http.StatusInternalServerError, err)
		return
	}
	o := order{Views: views}
	if err := s.db.WithContext(ctx).Preload("Items").First(&o, "id = ?", id).Error; err != nil {
		_ = c.AbortWithError(http.StatusInternalServerError, err)
		return
	}
	if err := s.addStock(context.Background(), &o); err != nil {
		_ = c.AbortWithError(http.StatusInternalServerError, err)
		return
	}
	c.JSON(http.StatusOK, o)
}

func (s *shop) addStock(ctx context.Context, o *order) error {
	var known []stock
	if err := s.db.WithContext(ctx).Find(&known).Error; err != nil {
		return err
	}
	for i := range o.Items {
		for _, k := range known {
			if k.SKU == o.Items[i].SKU {
				o.Items[i].Stock = k.Count
			}
		}
	}
	return nil
}

// dialHTTP returns a minimal HTTP client with one connection.
func dialHTTP(address string, worker int) (func() (int, error), error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, 16<<10)
	n := worker * storedOrders / 16
	return func() (int, error) {
		n++
		request := "GET /orders/" + strconv.Itoa(n%storedOrders+1) + " HTTP/1.1\r\nHost: localhost\r\n\r\n"
		if _, err := c.Write([]byte(request)); err != nil {
			return 0, err
		}
		return 1, readResponse(c, buf)
	}, nil
}

var errResponse = errors.New("the application did not answer with status 200")

func readResponse(c net.Conn, buf []byte) error {
	n := 0
	for !complete(buf[:n]) {
		k, err := c.Read(buf[n:])
		if err != nil {
			return err
		}
		n += k
	}
	if !bytes.HasPrefix(buf, []byte("HTTP/1.1 200")) {
		return fmt.Errorf("%w: %.200s", errResponse, buf[:n])
	}
	return nil
}

// complete reports whether b is a complete response with a Content-Length.
func complete(b []byte) bool {
	header, body, found := bytes.Cut(b, []byte("\r\n\r\n"))
	if !found {
		return false
	}
	_, length, found := bytes.Cut(header, []byte("Content-Length: "))
	length, _, _ = bytes.Cut(length, []byte("\r\n"))
	n, err := strconv.Atoi(string(length))
	return found && err == nil && len(body) >= n
}
