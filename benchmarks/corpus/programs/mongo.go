// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"example.com/corpus/kit"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
)

// mongoClient imitates dapr/components-contrib#3538: the ping fails, and the client
// is thrown away without Disconnect.
func mongoClient() kit.Program {
	return kit.Program{Name: "mongo-client", Library: "go.mongodb.org/mongo-driver", Want: kit.Leak("GET /profile", "mongo-driver", "programs.profile"), Run: func(w *kit.World) {
		mux := http.NewServeMux()
		mux.HandleFunc("/profile", w.Handle("GET /profile", func(rw http.ResponseWriter, r *http.Request) { fmt.Fprintln(rw, profile(r.Context())) }))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/profile", Rate: kit.Constant(3)})
	}}
}

func profile(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 150*time.Millisecond)
	defer cancel()
	c, err := mongo.Connect(ctx, options.Client().ApplyURI("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100"))
	if err != nil {
		return err
	}
	return c.Ping(ctx, nil)
}
