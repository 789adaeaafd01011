// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"encoding/csv"
	"io"

	"example.com/corpus/kit"
)

// csvPipe has a pipe that encoding/csv writes to, and a reader that returns after the
// first rows without closing its end, which io.Pipe's documentation asks for.
func csvPipe() kit.Program {
	return kit.Program{Name: "csv-pipe", Library: "encoding/csv", Spans: kit.None, Want: kit.Leak("", "heldout.writeRows", "encoding/csv"), Run: func(w *kit.World) {
		w.ServeRoute("GET /export.csv", 3, func(context.Context) {
			in, out := io.Pipe()
			go writeRows(out)
			_, _ = in.Read(make([]byte, 512)) // a preview of the first rows
		})
	}}
}

func writeRows(out *io.PipeWriter) {
	rows := csv.NewWriter(out)
	for range 2000 {
		_ = rows.Write([]string{"2026-11-30", "coffee", "3.20"})
	}
	rows.Flush()
	_ = out.Close()
}
