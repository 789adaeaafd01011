// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
)

// rootsKnownAfter is the time after which a root span that has not been watched probably has
// another name than the one in Config.Ceilings.
const rootsKnownAfter = time.Hour

// warnUnknownCeilings logs the names in Config.Ceilings that no signal can have.
func (w *Watch) warnUnknownCeilings() {
	for _, name := range slices.Sorted(maps.Keys(w.config.Ceilings)) {
		if _, ok := rootOf(name); !ok && !slices.ContainsFunc(w.trackers, func(t *tracker) bool { return t.name == name }) {
			w.config.Logger.Warn("gmpulse: a ceiling has no effect, because no signal has this name; docs/baselines.md lists the signals", slog.String("signal", name))
		}
	}
}

// rootOf returns the root span in the name of one of its signals.
func rootOf(signal string) (root string, ok bool) {
	kind, root, _ := strings.Cut(signal, " ")
	for _, r := range rootRows(root) {
		if r.name == kind+" "+root {
			return root, root != ""
		}
	}
	return "", false
}

// warnUnusedCeilings logs, once, the names in Config.Ceilings whose root spans are not
// watched. It waits until no more root spans are watched, or for an hour.
func (w *Watch) warnUnusedCeilings() {
	if w.ceilingsChecked || len(w.roots) < maxRoots && w.input.now.Sub(w.began) < rootsKnownAfter {
		return
	}
	w.ceilingsChecked = true
	for _, name := range slices.Sorted(maps.Keys(w.config.Ceilings)) {
		if root, ok := rootOf(name); ok && w.roots[root] == nil {
			w.config.Logger.Warn("gmpulse: a ceiling has no effect so far, because no watched root span has this name", slog.String("signal", name))
		}
	}
}
