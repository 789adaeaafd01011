// SPDX-License-Identifier: Apache-2.0

// Strips below the main chart on the same time axis: active requests, garbage collections
// and events.
import {h, css} from './dom.js';
import {t, signal} from './i18n.js';
import {count, clock} from './format.js';
import {gutter, hair, range, listen, pixel} from './plot.js';

const laneHeight = 22, maxLanes = 8;

/** Strip is a canvas with labels on its left, a cursor and a selection. */
class Strip {
  constructor(view, name) {
    this.view = view;
    this.labels = h('div', {class: 'strip-labels'});
    this.canvas = h('canvas', {'aria-hidden': 'true'});
    this.over = h('div', {class: 'over'});
    this.hair = h('div', {class: 'hair'});
    this.mark = h('div', {class: 'mark-range'});
    this.over.append(this.mark, this.hair);
    this.body = h('div', {class: 'strip-body'}, this.canvas, this.over);
    this.el = h('div', {class: 'strip ' + name}, this.labels, this.body);
    listen(this.over, view, () => this.scale());
    new ResizeObserver(() => this.update()).observe(this.body);
  }

  scale() {
    const [from, to] = this.view.range();
    return {from, to, width: this.body.clientWidth};
  }

  /** context clears the canvas and returns its context, scaled to CSS pixels. */
  context(height) {
    const r = devicePixelRatio || 1, width = this.body.clientWidth;
    this.labels.style.width = gutter() + 'px';
    if (this.canvas.width !== Math.round(width * r) || this.canvas.height !== Math.round(height * r)) {
      this.canvas.width = Math.round(width * r);
      this.canvas.height = Math.round(height * r);
      this.canvas.style.width = width + 'px';
      this.canvas.style.height = height + 'px';
      this.over.style.height = height + 'px';
    }
    const c = this.canvas.getContext('2d');
    c.setTransform(r, 0, 0, r, 0, 0);
    c.clearRect(0, 0, width, height);
    return c;
  }

  cursor() { hair(this.hair, this.view, this.scale()); }
  selection() { range(this.mark, this.view, this.scale()); }
}

/** bins returns the greatest value in each column of two pixels. */
function bins(data, values, s) {
  const n = Math.ceil(s.width / 2), out = new Array(n).fill(0);
  const i0 = Math.max(0, data.at(s.from)), i1 = data.at(s.to);
  for (let i = i0; i <= i1; i++) {
    const v = values[i];
    if (!v) continue;
    const end = i < data.t.length - 1 ? Math.min(data.t[i + 1], data.t[i] + 15e3) : data.t[i] + 1000;
    const a = Math.max(0, Math.floor(pixel(data.t[i], s) / 2)), b = Math.min(n, Math.max(a + 1, Math.ceil(pixel(end, s) / 2)));
    for (let x = a; x < b; x++) if (v > out[x]) out[x] = v;
  }
  return out;
}

/** whole formats a rate, without decimals from 1 on. */
const whole = (v) => count(v >= 1 ? Math.round(v) : v);

const some = (values, i0, i1) => values.slice(i0, i1 + 1).some((v) => v > 0);

export class Lanes extends Strip {
  constructor(view) {
    super(view, 'lanes');
    this.shown = [];
  }

  /** choose returns the lanes: the root spans with the most requests in flight, and one lane for the others. */
  choose(s) {
    const {data} = this.view;
    const i0 = Math.max(0, data.at(s.from)), i1 = data.at(s.to);
    const all = data.series('gmpulse.root_span.active').map(([name, values]) => {
      let sum = 0;
      for (let i = i0; i <= i1; i++) sum += values[i] || 0;
      return {name, values, sum};
    }).filter((l) => l.sum > 0).sort((a, b) => b.sum - a.sum);
    const top = all.slice(0, maxLanes - (all.length > maxLanes ? 1 : 0));
    // Sorted by name, so that lanes do not change places while their values change.
    top.sort((a, b) => a.name < b.name ? -1 : 1);
    const rest = all.filter((l) => !top.includes(l));
    if (rest.length) {
      const values = data.t.map((_, i) => rest.reduce((n, l) => n + (l.values[i] || 0), 0));
      top.push({name: t('lanes.rest', {n: rest.length}), values, rest: true});
    }
    const ended = data.col('gmpulse.root_spans.ended'), started = data.col('gmpulse.root_spans.started');
    // Most requests are shorter than the interval of samples and are in no other lane.
    if (some(started, i0, i1) || some(ended, i0, i1)) top.unshift({name: t('lanes.started'), values: started, ended, rate: true});
    return top;
  }

  update() {
    const s = this.scale();
    if (!s.width) return;
    const lanes = this.shown = this.choose(s);
    const c = this.context(Math.max(1, lanes.length) * laneHeight);
    const color = css('--lane');
    let most = 1;
    const rows = lanes.map((l) => { const b = bins(this.view.data, l.values, s); if (!l.rate) for (const v of b) if (v > most) most = v; return b; });
    rows.forEach((row, y) => {
      c.fillStyle = css('--lane-bed');
      c.fillRect(0, y * laneHeight + 2, s.width, laneHeight - 4);
      const scale = lanes[y].rate ? Math.max(...row) : most;
      row.forEach((v, x) => {
        if (!v) return;
        c.globalAlpha = (0.16 + 0.84 * Math.sqrt(v / scale)) * (lanes[y].rate ? 0.5 : 1);
        c.fillStyle = lanes[y].rate ? css('--muted') : color;
        c.fillRect(x * 2, y * laneHeight + 2, 2, laneHeight - 4);
      });
      c.globalAlpha = 1;
      if (!lanes[y].rest && !lanes[y].rate) this.long(c, s, lanes[y].name, y);
      if (gutter() < 100) this.inside(c, lanes[y].name, y);
    });
    if (!lanes.length) {
      c.fillStyle = css('--muted');
      c.font = `12px ${css('--font')}`;
      c.fillText(t('lanes.none'), 8, 15);
    }
    this.legend();
    this.cursor();
    this.selection();
  }

  /** inside writes the name into the lane if the gutter is too narrow for it. */
  inside(c, name, y) {
    c.font = `11px ${css('--font')}`;
    c.lineWidth = 3;
    c.strokeStyle = css('--card');
    c.fillStyle = css('--ink');
    c.strokeText(name, 6, y * laneHeight + 15);
    c.fillText(name, 6, y * laneHeight + 15);
  }

  /** long draws spans of two seconds or longer as lines at the bottom of their lane. */
  long(c, s, name, y) {
    c.fillStyle = css('--ink');
    for (const sp of this.view.data.spans.values()) {
      if (sp.name !== name || sp.last - sp.start < 2000 || sp.last < s.from || sp.start > s.to) continue;
      const a = Math.max(0, pixel(sp.start, s)), b = Math.min(s.width, pixel(sp.last, s));
      c.fillRect(a, y * laneHeight + laneHeight - 5, Math.max(1, b - a), 1.5);
    }
  }

  legend() {
    const i = this.view.data.at(this.view.cursor ?? this.view.data.last);
    this.labels.replaceChildren(...this.shown.map((l) => h('div', {class: 'lane-label', title: l.name},
      h('span', {}, l.name), h('b', {}, l.rate ? `${whole(l.values[i])}/${whole(l.ended[i])}` : count(l.values[i] ?? 0)))));
  }

  cursor() {
    super.cursor();
    this.legend();
  }
}

/** kinds of marks on the rail and their colours. shape draws each differently. */
const kinds = {verdict: '--alarm', anomaly: '--warn', capture: '--accent', procs: '--syscall', drop: '--runnable', other: '--muted'};

export class Rail extends Strip {
  constructor(view) {
    super(view, 'rail');
    this.captures = [];
    this.marks = [];
    this.tip = h('div', {class: 'tip', hidden: true});
    this.body.append(this.tip);
    this.over.addEventListener('pointermove', (e) => this.hover(e));
    this.over.addEventListener('pointerleave', () => { this.tip.hidden = true; });
  }

  /** collect returns the marks of a range in order of time. */
  collect(s) {
    const {data} = this.view, marks = [];
    for (const e of data.events) {
      if (e.t < s.from || e.t > s.to) continue;
      marks.push({t: e.t, kind: kindOf(e), text: e.text});
    }
    for (const b of this.captures) {
      if (b.t >= s.from && b.t <= s.to) marks.push({t: b.t, kind: 'capture', text: t('rail.capture', {reason: b.reason || b.id})});
    }
    for (const sp of data.allEpisodes()) {
      if (sp.source === 'band' && sp.from >= s.from && sp.from <= s.to) marks.push({t: sp.from, kind: 'anomaly', text: t('rail.band', {signal: signal(sp.subject)})});
    }
    const i0 = Math.max(1, data.at(s.from)), i1 = data.at(s.to), procs = data.col('go.processor.limit');
    const drops = data.series('gmpulse.exporter.dropped').map(([label, v]) => [label.split(',')[0], v]);
    let dropping = false;
    for (let i = i0; i <= i1; i++) {
      if (procs[i] && procs[i - 1] && procs[i] !== procs[i - 1]) {
        marks.push({t: data.t[i], kind: 'procs', text: t('rail.procs', {from: procs[i - 1], to: procs[i]})});
      }
      const lost = drops.filter(([, v]) => v[i] > 0);
      if (lost.length && !dropping) marks.push({t: data.t[i], kind: 'drop', text: t('rail.drop', {names: [...new Set(lost.map(([n]) => n))].join(', ')})});
      dropping = lost.length > 0;
    }
    return marks.sort((a, b) => a.t - b.t);
  }

  update() {
    const s = this.scale();
    if (!s.width) return;
    const c = this.context(44 + 20);
    const {data} = this.view, gc = data.col('go.memory.gc.cycles');
    c.fillStyle = css('--lane-bed');
    c.fillRect(0, 2, s.width, 12);
    c.fillRect(0, 18, s.width, 24);
    c.fillStyle = css('--gc');
    for (let i = Math.max(0, data.at(s.from)); i <= data.at(s.to); i++) {
      if (!gc[i]) continue;
      c.globalAlpha = Math.min(1, 0.45 + gc[i] / 10);
      c.fillRect(Math.round(pixel(data.t[i], s)), 2, 1.5, 12);
    }
    c.globalAlpha = 1;
    this.marks = this.collect(s);
    for (const m of this.marks) shape(c, m.kind, pixel(m.t, s), 30, css(kinds[m.kind]));
    this.axis(c, s);
    this.labels.replaceChildren(h('div', {class: 'lane-label gc'}, h('span', {}, t('rail.gc'))), h('div', {class: 'lane-label ev'}, h('span', {}, t('rail.events'))));
    this.cursor();
    this.selection();
  }

  /** axis draws the labels of the time axis. */
  axis(c, s) {
    const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200].map((n) => n * 1000);
    const step = steps.find((n) => (s.to - s.from) / n <= s.width / 84) || 14400e3;
    c.fillStyle = css('--muted');
    c.font = `11px ${css('--font')}`;
    c.textAlign = 'center';
    const zone = new Date().getTimezoneOffset() * 60e3;
    for (let ms = Math.ceil((s.from - zone) / step) * step + zone; ms <= s.to; ms += step) {
      const x = pixel(ms, s);
      c.fillRect(x, 42, 1, 4);
      const text = clock(ms);
      const half = c.measureText(text).width / 2;
      if (x > half && x < s.width - half) c.fillText(step < 60e3 ? text : text.slice(0, -3), x, 58);
    }
    c.textAlign = 'left';
  }

  hover(e) {
    const s = this.scale(), x = e.clientX - this.over.getBoundingClientRect().left;
    const near = this.marks.filter((m) => Math.abs(pixel(m.t, s) - x) < 8).slice(0, 4);
    this.tip.hidden = near.length === 0;
    if (!near.length) return;
    this.tip.replaceChildren(...near.map((m) => h('div', {}, h('b', {}, clock(m.t)), ' ', m.text)));
    this.tip.style.left = Math.max(0, Math.min(x - 20, s.width - this.tip.offsetWidth)) + 'px';
  }
}

function kindOf(e) {
  if (e.name.startsWith('goroutine.verdict')) return 'verdict';
  if (e.name.includes('anomal') || e.name.startsWith('baseline')) return 'anomaly';
  if (e.name.includes('capture') || e.name.startsWith('evidence')) return 'capture';
  return 'other';
}

/** shape draws a mark. Shapes differ, so that colour is not needed to tell them. */
function shape(c, kind, x, y, color) {
  c.fillStyle = c.strokeStyle = color;
  c.lineWidth = 2;
  c.beginPath();
  switch (kind) {
    case 'verdict': c.moveTo(x, y - 8); c.lineTo(x + 7, y); c.lineTo(x, y + 8); c.lineTo(x - 7, y); c.closePath(); c.fill(); break;
    case 'anomaly': c.moveTo(x, y - 7); c.lineTo(x + 7, y + 6); c.lineTo(x - 7, y + 6); c.closePath(); c.fill(); break;
    case 'capture': c.rect(x - 6, y - 5, 12, 10); c.fill(); break;
    case 'procs': c.moveTo(x - 6, y + 5); c.lineTo(x - 6, y); c.lineTo(x, y); c.lineTo(x, y - 5); c.lineTo(x + 6, y - 5); c.stroke(); break;
    case 'drop': c.moveTo(x - 5, y - 5); c.lineTo(x + 5, y + 5); c.moveTo(x + 5, y - 5); c.lineTo(x - 5, y + 5); c.stroke(); break;
    default: c.arc(x, y, 4.5, 0, 7); c.fill();
  }
}

