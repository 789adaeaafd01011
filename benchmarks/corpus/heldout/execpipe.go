// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"sync/atomic"
	"time"

	"example.com/corpus/kit"
)

// execGrandchild imitates golang/go#23019 and #21922: a handler starts a converter with
// a timeout of five seconds and reads its output. One converter in four leaves a helper
// process that has inherited the pipe, so that the read does not end and CombinedOutput
// does not return, although the converter itself has. Clients give up after 30 s.
func execGrandchild() kit.Program {
	return kit.Program{Name: "exec-grandchild", Library: "os/exec", Want: kit.Hang("POST /convert", "heldout.convert", "os/exec"), Run: func(w *kit.World) {
		var n atomic.Int64
		mux := http.NewServeMux()
		w.Harmless(mux)
		mux.HandleFunc("/convert", w.Handle("POST /convert", func(rw http.ResponseWriter, r *http.Request) {
			script := "echo converted"
			if n.Add(1)%4 == 0 {
				script = "sleep 330 & echo converted"
			}
			out, err := convert(r.Context(), script)
			fmt.Fprintln(rw, string(out), err)
		}))
		url := w.Serve(mux)
		w.Clients(kit.Clients{URL: url + "/convert", Method: http.MethodPost, Rate: kit.Constant(2), Timeout: 30 * time.Second})
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Constant(10)})
	}}
}

func convert(ctx context.Context, script string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, "sh", "-c", script).CombinedOutput()
}
