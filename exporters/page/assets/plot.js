// SPDX-License-Identifier: Apache-2.0

// A chart over time. uPlot draws it; an overlay handles the pointer. All charts share the
// range, the cursor and the selection of the view.
import {h, css} from './dom.js';

const font = (px) => `${px}px ${css('--font')}`;

export const gutter = () => (innerWidth < 760 ? 56 : 148);

/** timeAxis returns an axis with times of day, at most one label per 90 pixels. */
function timeAxis(show) {
  return {
    show, stroke: () => css('--muted'), font: font(11), size: 26, gap: 4,
    grid: {show: true, stroke: () => css('--grid'), width: 1},
    ticks: {show: false},
    space: 90,
    values: (u, splits) => {
      const fine = splits.length > 1 && splits[1] - splits[0] < 60;
      return splits.map((s) => {
        const d = new Date(s * 1000);
        const p = (n) => String(n).padStart(2, '0');
        return p(d.getHours()) + ':' + p(d.getMinutes()) + (fine ? ':' + p(d.getSeconds()) : '');
      });
    },
  };
}

/** binarySteps are powers of two, the steps between labels of bytes. */
const binarySteps = Array.from({length: 50}, (_, i) => 2 ** i);

export class Plot {
  /**
   * @param view the View
   * @param o {height, left, series, bands, format, build, timeAxis, label, draw, min}
   * build(data, from, to) returns uPlot's data with times in seconds.
   */
  constructor(view, o) {
    this.view = view;
    this.o = o;
    this.el = h('div', {class: 'plot', style: {height: o.height + 'px'}});
    this.over = h('div', {class: 'over'});
    this.hair = h('div', {class: 'hair'});
    this.mark = h('div', {class: 'mark-range'});
    this.u = null;
    this.seen = true;
    new ResizeObserver(() => this.resize()).observe(this.el);
    new IntersectionObserver((e) => {
      this.seen = e[e.length - 1].isIntersecting;
      if (this.seen) this.update();
    }).observe(this.el);
    this.over.append(this.mark, this.hair);
    listen(this.over, view, () => this.scale());
  }

  options(width) {
    const {o} = this;
    return {
      width, height: o.height, padding: [6, 0, 7, 0], legend: {show: false}, cursor: {show: false},
      scales: {
        x: {time: true, auto: false, range: () => this.view.range().map((ms) => ms / 1000)},
        y: {auto: true, range: (u, min, max) => [o.min ? o.min(min) : 0, headroom(o.most && Number.isFinite(max) ? o.most(u, max) : max, o.least ?? 1)]},
      },
      series: [{}, ...o.series.map((s) => ({points: {show: false}, width: 1.25, spanGaps: false, ...s}))],
      bands: o.bands,
      axes: [timeAxis(o.timeAxis), {
        size: o.left, gap: 6, stroke: () => css('--muted'), font: font(11), space: o.height > 150 ? 44 : 30,
        grid: {stroke: () => css('--grid'), width: 1}, ticks: {show: false},
        incrs: o.binary ? binarySteps : undefined,
        values: (u, splits) => splits.map((v) => o.format(v)),
      }],
      hooks: {
        drawAxes: o.under ? [(u) => o.under(u)] : [],
        draw: o.draw ? [(u) => o.draw(u)] : [],
      },
    };
  }

  resize() {
    const width = this.el.clientWidth;
    if (!width) return;
    if (this.u) {
      this.u.setSize({width, height: this.o.height});
    } else {
      this.u = new uPlot(this.options(width), this.data(), this.el);
      this.el.append(this.over);
    }
    this.place();
    this.update();
  }

  /** remake creates the chart again for another theme, because uPlot reads colours once. */
  remake() {
    if (this.u) this.u.destroy();
    this.u = null;
    this.resize();
  }

  data() {
    const [from, to] = this.view.range();
    return this.o.build(this.view.data, from, to);
  }

  update() {
    if (!this.u || !this.seen) return;
    this.u.setData(this.data(), false);
    const [from, to] = this.view.range();
    this.u.batch(() => {
      this.u.setScale('x', {min: from / 1000, max: to / 1000});
    });
    this.cursor();
    this.selection();
  }

  /** scale returns the range and the width of the overlay, for pixel. */
  scale() {
    const [from, to] = this.view.range();
    return {from, to, width: this.over.clientWidth};
  }

  place() {
    const b = this.u.bbox, r = devicePixelRatio || 1;
    Object.assign(this.over.style, {left: b.left / r + 'px', top: 0, width: b.width / r + 'px', height: (b.top + b.height) / r + 'px'});
  }

  cursor() { hair(this.hair, this.view, this.scale()); }

  selection() { range(this.mark, this.view, this.scale()); }
}

/** headroom returns the top of the scale, above the highest value. */
function headroom(max, least) {
  if (max === null || max === undefined || !Number.isFinite(max)) return least;
  return Math.max(max * 1.08, least);
}

export const pixel = (ms, s) => (ms - s.from) / (s.to - s.from) * s.width;

/** hair positions the line of the cursor. */
export function hair(el, view, s) {
  const x = view.cursor === null ? -1 : pixel(view.cursor, s);
  const on = x >= 0 && x <= s.width;
  el.style.display = on ? 'block' : 'none';
  if (on) el.style.transform = `translateX(${x}px)`;
}

/** range positions the selection. */
export function range(el, view, s) {
  const sel = view.dragging || view.selection;
  if (!sel) { el.style.display = 'none'; return; }
  const a = Math.max(0, pixel(sel[0], s)), b = Math.min(s.width, pixel(sel[1], s));
  el.style.display = b > a ? 'block' : 'none';
  el.style.left = a + 'px';
  el.style.width = Math.max(1, b - a) + 'px';
}

/** listen makes the pointer move the cursor and the selection. */
export function listen(el, view, scale) {
  const time = (e) => {
    const s = scale();
    const x = Math.max(0, Math.min(s.width, e.clientX - el.getBoundingClientRect().left));
    return s.from + x / s.width * (s.to - s.from);
  };
  let down = null;
  el.addEventListener('pointermove', (e) => {
    const ms = time(e);
    if (down !== null) {
      view.dragging = Math.abs(e.clientX - down.x) > 4 ? [Math.min(down.ms, ms), Math.max(down.ms, ms)] : null;
      view.emit('drag');
    }
    view.setCursor(ms);
  });
  el.addEventListener('pointerleave', () => { if (down === null) view.setCursor(null); });
  el.addEventListener('pointerdown', (e) => {
    if (e.button !== 0) return;
    down = {x: e.clientX, ms: time(e)};
    el.setPointerCapture(e.pointerId);
  });
  el.addEventListener('pointerup', (e) => {
    if (down === null) return;
    const drag = view.dragging, ms = time(e);
    down = null;
    view.dragging = null;
    if (drag) view.select(...drag); else view.pick(ms);
  });
  el.addEventListener('pointercancel', () => { down = null; view.dragging = null; view.emit('drag'); });
  el.addEventListener('dblclick', () => view.reset());
}
