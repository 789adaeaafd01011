// SPDX-License-Identifier: Apache-2.0

// The state of the view: range, cursor and selection.

export const widths = [60e3, 5 * 60e3, 15 * 60e3, 60 * 60e3];

export class View extends EventTarget {
  constructor(data) {
    super();
    this.data = data;
    this.width = widths[1];
    this.fixed = null; // [from, to] while zoomed or paused; null follows the newest sample
    this.cursor = null; // ms
    this.selection = null; // [from, to]
    this.paused = false;
    this.dragging = null; // [from, to] while the pointer selects
  }

  emit(what) { this.dispatchEvent(new Event(what)); }

  range() {
    if (this.fixed) return this.fixed;
    const to = this.data.last || Date.now(), first = this.data.t[0] ?? to;
    // The range of a young process begins with its first sample.
    return [Math.max(to - this.width, Math.min(first, to - widths[0])), to];
  }

  get zoomed() { return this.fixed !== null && !this.paused; }

  setWidth(ms) {
    this.width = ms;
    if (this.fixed) {
      const to = this.paused ? this.fixed[1] : this.data.last;
      this.fixed = this.paused ? [to - ms, to] : null;
    }
    this.emit('view');
  }

  /** show fixes the range, at least ten seconds of it. */
  show(from, to) {
    const least = 10e3;
    if (to - from < least) { const mid = (from + to) / 2; from = mid - least / 2; to = mid + least / 2; }
    this.fixed = [from, to];
    this.emit('view');
  }

  scale(factor) {
    const [from, to] = this.range();
    const at = this.cursor ?? to;
    this.show(at - (at - from) * factor, Math.min(at + (to - at) * factor, this.data.last));
  }

  reset() {
    this.fixed = null;
    this.paused = false;
    this.emit('view');
  }

  pause(on) {
    this.paused = on;
    this.fixed = on ? this.range() : null;
    this.emit('view');
  }

  setCursor(ms) {
    this.cursor = ms;
    this.emit('cursor');
  }

  /** step moves the cursor by n samples. */
  step(n) {
    const {t} = this.data;
    if (!t.length) return;
    let i = this.cursor === null ? t.length - 1 : this.data.at(this.cursor) + n;
    i = Math.max(0, Math.min(t.length - 1, i));
    this.setCursor(t[i]);
    this.reveal(t[i]);
  }

  /** reveal moves the range, if need be, to contain a time. */
  reveal(ms) {
    const [from, to] = this.range();
    if (ms >= from && ms <= to) return;
    const half = (to - from) / 2;
    this.show(ms - half, ms + half);
  }

  select(from, to) {
    this.selection = from === null ? null : [from, to];
    this.emit('selection');
  }

  /** pick selects the episode at a time, or else five seconds on either side. */
  pick(ms) {
    const episode = this.episodeAt(ms);
    if (episode) { this.selectEpisode(episode); return; }
    this.select(ms - 5e3, Math.min(ms + 5e3, this.data.last));
  }

  selectEpisode(s) {
    this.select(s.from, s.to || this.data.last);
    this.reveal(s.from);
  }

  /** episodeAt returns the last episode that contains a time, if any. */
  episodeAt(ms) {
    return this.data.allEpisodes().filter((s) => s.from <= ms && (!s.to || s.to >= ms)).pop();
  }

  /** neighbour returns the episode before (-1) or after (1) the cursor or selection. */
  neighbour(direction) {
    const at = this.selection ? (this.selection[0] + this.selection[1]) / 2 : this.cursor ?? this.data.last + 1;
    const all = this.data.allEpisodes();
    return direction < 0 ? all.filter((s) => (s.to || this.data.last) < at - 1 || s.from < at - 1 && !this.selection).pop() ?? all[0]
      : all.find((s) => s.from > at + 1);
  }
}
