// SPDX-License-Identifier: Apache-2.0

// A flame graph on a canvas with the root at the top. Click or Enter zooms into a frame,
// Backspace zooms out. Frames that match the search field are highlighted.
import {h, css} from './dom.js';
import {t} from './i18n.js';
import {value, func} from './format.js';

const row = 20;

/** format writes a value with the unit of the profile. */
const format = (f, v) => f.unit === 'bytes' ? value(v, 'By') : f.unit === 'nanoseconds' ? value(v / 1e9, 's') : value(v, '');

/** hue returns the colour number of a function, which depends on its package only. */
function hue(name) {
  const dot = name.indexOf('.', name.lastIndexOf('/') + 1);
  const pkg = dot < 0 ? name : name.slice(0, dot);
  let n = 0;
  for (let i = 0; i < pkg.length; i++) n = (n * 31 + pkg.charCodeAt(i)) >>> 0;
  return n % 8;
}

export class Flame {
  constructor(f) {
    this.f = f;
    this.zoom = [f.tree];
    this.path = [0];
    this.query = '';
    this.canvas = h('canvas', {class: 'flame', tabindex: '0', role: 'img', 'aria-label': t('flame.label', {type: f.type, total: format(f, f.total)})});
    this.note = h('p', {class: 'flame-note', 'aria-live': 'polite'});
    this.search = h('input', {type: 'search', placeholder: t('flame.search'), 'aria-label': t('flame.search'), oninput: (e) => { this.query = e.target.value.toLowerCase(); this.draw(); }});
    this.el = h('div', {class: 'flame-box'}, h('div', {class: 'flame-tools'}, this.search, this.note), h('div', {class: 'flame-scroll'}, this.canvas));
    this.cells = [];
    this.focus = null;
    this.canvas.addEventListener('pointermove', (e) => this.point(this.cell(e)));
    this.canvas.addEventListener('click', (e) => this.into(this.cell(e)));
    this.canvas.addEventListener('keydown', (e) => this.key(e));
    new ResizeObserver(() => this.draw()).observe(this.el);
    this.describe(f.tree);
  }

  name(n) { return this.f.names[n.n]; }

  describe(n) {
    const share = this.f.total ? n.v / this.f.total : 0;
    this.note.replaceChildren(h('b', {}, this.name(n)), ` ${format(this.f, n.v)} · ${(share * 100).toFixed(1)} %`);
  }

  cell(e) {
    const b = this.canvas.getBoundingClientRect(), x = e.clientX - b.left, y = Math.floor((e.clientY - b.top) / row);
    return this.cells.find((c) => c.y === y && x >= c.x && x < c.x + c.w);
  }

  point(c) {
    if (!c || c === this.focus) return;
    this.focus = c;
    this.describe(c.node);
    this.draw();
  }

  into(c) {
    if (!c) return;
    if (c.above !== undefined) this.zoom = this.zoom.slice(0, c.above + 1);
    else this.zoom = [...this.zoom, ...c.way];
    this.focus = null;
    this.draw();
  }

  key(e) {
    const at = this.focus ? this.cells.findIndex((c) => c.node === this.focus.node) : 0;
    const f = this.cells[Math.max(0, at)];
    const pick = (c) => { if (c) { this.point(c); e.preventDefault(); e.stopPropagation(); } };
    switch (e.key) {
      case 'ArrowDown': pick(this.cells.find((c) => c.y === f.y + 1 && c.x >= f.x - 0.5 && c.x < f.x + f.w)); break;
      case 'ArrowUp': pick(this.cells.find((c) => c.y === f.y - 1 && c.x <= f.x + 0.5 && c.x + c.w > f.x)); break;
      case 'ArrowRight': pick(this.cells.find((c) => c.y === f.y && c.x > f.x)); break;
      case 'ArrowLeft': pick(this.cells.findLast((c) => c.y === f.y && c.x < f.x)); break;
      case 'Enter': this.into(f); e.preventDefault(); break;
      case 'Backspace': if (this.zoom.length > 1) { this.zoom.pop(); this.draw(); } e.preventDefault(); break;
    }
  }

  draw() {
    const width = this.canvas.parentElement.clientWidth;
    if (!width) return;
    this.cells = [];
    this.zoom.slice(0, -1).forEach((n, y) => this.cells.push({x: 0, y, w: width, node: n, above: y}));
    const top = this.zoom.length - 1, root = this.zoom[top];
    this.place(root, 0, top, width, root.v || 1, []);
    const depth = this.cells.reduce((d, c) => Math.max(d, c.y), 0) + 1;
    const r = devicePixelRatio || 1;
    this.canvas.width = width * r;
    this.canvas.height = depth * row * r;
    this.canvas.style.width = width + 'px';
    this.canvas.style.height = depth * row + 'px';
    const c = this.canvas.getContext('2d');
    c.setTransform(r, 0, 0, r, 0, 0);
    c.font = `12px ${css('--mono')}`;
    c.textBaseline = 'middle';
    for (const cell of this.cells) this.box(c, cell);
  }

  place(n, x, y, w, total, way) {
    this.cells.push({x, y, w, node: n, way});
    const unit = w / (n.v || 1);
    for (const child of n.c || []) {
      const cw = child.v * unit;
      if (cw >= 0.7) this.place(child, x, y + 1, cw, total, [...way, child]);
      x += cw;
    }
  }

  box(c, cell) {
    const name = this.name(cell.node), marked = this.query && name.toLowerCase().includes(this.query);
    c.globalAlpha = cell.above !== undefined ? 0.45 : this.query && !marked ? 0.35 : 1;
    c.fillStyle = marked ? css('--alarm') : css('--f' + hue(name));
    c.fillRect(cell.x, cell.y * row, Math.max(0.7, cell.w - 1), row - 1);
    if (this.focus && this.focus.node === cell.node) {
      c.strokeStyle = css('--ink');
      c.lineWidth = 1.5;
      c.strokeRect(cell.x + 1, cell.y * row + 1, Math.max(1, cell.w - 3), row - 3);
    }
    if (cell.w > 26) {
      c.save();
      c.beginPath();
      c.rect(cell.x + 4, cell.y * row, cell.w - 9, row);
      c.clip();
      c.fillStyle = marked ? css('--paper') : css('--flame-ink');
      c.fillText(func(name), cell.x + 5, cell.y * row + row / 2);
      c.restore();
    }
    c.globalAlpha = 1;
  }

  /** table returns the functions with the greatest self values. */
  table() {
    const own = new Map();
    const walk = (n) => {
      let rest = n.v;
      for (const c of n.c || []) { rest -= c.v; walk(c); }
      if (rest > 0) own.set(n.n, (own.get(n.n) || 0) + rest);
    };
    walk(this.f.tree);
    const top = [...own].sort((a, b) => b[1] - a[1]).slice(0, 20);
    return h('details', {class: 'flame-table'}, h('summary', {}, t('flame.table')), h('table', {},
      h('thead', {}, h('tr', {}, h('th', {}, t('flame.function')), h('th', {class: 'num'}, t('flame.self')), h('th', {class: 'num'}, '%'))),
      h('tbody', {}, ...top.map(([n, v]) => h('tr', {}, h('td', {}, h('code', {}, this.f.names[n])), h('td', {class: 'num'}, format(this.f, v)), h('td', {class: 'num'}, (v / this.f.total * 100).toFixed(1)))))));
  }
}
