// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"example.com/corpus/kit"
	"gopkg.in/natefinch/lumberjack.v2"
)

// lumberjackLogger imitates natefinch/lumberjack#56 and #205: a logger for each
// request leaves a goroutine, millRun, although it is closed.
func lumberjackLogger() kit.Program {
	return kit.Program{Name: "lumberjack-per-request", Library: "natefinch/lumberjack", Want: kit.Leak("GET /download", "natefinch/lumberjack", "heldout.auditDownload"), Run: func(w *kit.World) {
		dir := filepath.Join(os.TempDir(), "corpus-lumberjack")
		var n atomic.Int64
		w.ServeRoute("GET /download", 4, func(context.Context) { auditDownload(dir, n.Add(1)%20) })
	}}
}

func auditDownload(dir string, user int64) {
	l := &lumberjack.Logger{Filename: filepath.Join(dir, fmt.Sprintf("user-%d.log", user)), MaxSize: 5, MaxAge: 1}
	fmt.Fprintln(l, "downloaded")
	_ = l.Close()
}
