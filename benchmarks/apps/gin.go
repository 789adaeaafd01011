// SPDX-License-Identifier: Apache-2.0

package main

import (
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

// dialGin returns a client that requests the orders in turn.
func dialGin(address string, worker int) (func() (int, error), error) {
	first := worker * storedOrders / 16
	return dialHTTP(address, func(n int) string { return "/orders/" + strconv.Itoa((first+n)%storedOrders+1) })
}
