// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"example.com/corpus/kit"
	"github.com/fsnotify/fsnotify"
)

// fsnotifyWatchers imitates fsnotify/fsnotify's example: a watcher for each editor
// that is open, for 70 s on average, with the loop that its documentation shows.
func fsnotifyWatchers() kit.Program {
	return kit.Program{Name: "fsnotify-watchers", Library: "fsnotify/fsnotify", Run: func(w *kit.World) {
		dir, err := os.MkdirTemp("", "corpus-fsnotify-")
		kit.Must(err)
		go func() {
			for n := 0; kit.Sleep(w.Ctx, 12*time.Second); n++ {
				_ = os.WriteFile(filepath.Join(dir, "config.yaml"), fmt.Append(nil, n), 0o600)
			}
		}()
		// The kernel allows 128 watchers a user; a run has at most 60.
		w.Load(kit.Wave(0.6), func() {
			var watcher *fsnotify.Watcher
			w.Root("editor.open", func(context.Context) {
				if watcher, err = fsnotify.NewWatcher(); err == nil {
					go watchFolder(watcher)
					_ = watcher.Add(dir)
				}
			})
			kit.Sleep(w.Ctx, kit.Around(70*time.Second))
			if watcher != nil {
				_ = watcher.Close()
			}
		})
	}}
}

func watchFolder(watcher *fsnotify.Watcher) {
	for {
		select {
		case _, ok := <-watcher.Events:
			if !ok {
				return
			}
		case _, ok := <-watcher.Errors:
			if !ok {
				return
			}
		}
	}
}
