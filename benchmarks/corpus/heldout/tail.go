// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"example.com/corpus/kit"
	"github.com/nxadm/tail"
)

// tailAbandoned streams log files to viewers, as many dashboards do with nxadm/tail.
// When a viewer leaves, after 20 s on average, the handler returns without a call of
// Stop, which hpcloud/tail#47 shows how to make: the goroutine of the library blocks
// when it sends the next line.
func tailAbandoned() kit.Program {
	return kit.Program{Name: "tail-abandoned", Library: "nxadm/tail", Want: kit.Leak("GET /logs", "nxadm/tail", "heldout.followLog"), Run: func(w *kit.World) {
		dir, err := os.MkdirTemp("", "corpus-tail-")
		kit.Must(err)
		var files []string
		for i := range 10 {
			f, err := os.Create(filepath.Join(dir, fmt.Sprintf("service%d.log", i)))
			kit.Must(err)
			files = append(files, f.Name())
			go func() {
				for kit.Sleep(w.Ctx, kit.Around(5*time.Second)) {
					fmt.Fprintln(f, "request served")
				}
			}()
		}
		var n atomic.Int64
		mux := http.NewServeMux()
		w.Harmless(mux)
		mux.HandleFunc("/logs", w.Handle("GET /logs", func(rw http.ResponseWriter, r *http.Request) {
			followLog(r.Context(), rw, files[n.Add(1)%10])
		}))
		url := w.Serve(mux)
		w.Clients(kit.Clients{URL: url + "/logs", Rate: kit.Constant(1), Session: 20 * time.Second})
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Constant(10)})
	}}
}

func followLog(ctx context.Context, rw http.ResponseWriter, file string) {
	t, err := tail.TailFile(file, tail.Config{Follow: true, MustExist: true, Logger: tail.DiscardingLogger})
	if err != nil {
		http.Error(rw, err.Error(), http.StatusNotFound)
		return
	}
	for {
		select {
		case line := <-t.Lines:
			fmt.Fprintln(rw, line.Text)
			_ = http.NewResponseController(rw).Flush()
		case <-ctx.Done():
			return
		}
	}
}
