// SPDX-License-Identifier: Apache-2.0

// A flame graph on a canvas with the root at the top. Click or Enter zooms into a frame,
// Backspace zooms out. Frames that match the search field are highlighted. In a difference of
// two profiles the colour and the text of a frame show how it changed.
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

/** change describes the change of a value: "+12 %", "new". */
function change(v, b) {
  if (!b) return v ? t('flame.new') : '';
  const p = (v - b) / b * 100, a = Math.abs(p);
  return a < 0.05 ? '±0 %' : (p > 0 ? '+' : '−') + a.toFixed(a < 9.95 ? 1 : 0) + ' %';
}

export class Flame {
  constructor(f) {
    this.f = f;
    this.difference = f.base_total !== undefined;
    this.by = 'v'; // the value that the widths show; 'b' is the value before
    this.zoom = [f.tree];
    this.path = [0];
    this.query = '';
    this.canvas = h('canvas', {class: 'flame', tabindex: '0', role: 'img', 'aria-label': t('flame.label', {type: f.type, total: format(f, f.total)})});
    this.note = h('p', {class: 'flame-note', 'aria-live': 'polite'});
    this.search = h('input', {type: 'search', placeholder: t('flame.search'), 'aria-label': t('flame.search'), oninput: (e) => { this.query = e.target.value.toLowerCase(); this.draw(); }});
    this.before = this.difference ? h('label', {}, h('input', {type: 'checkbox', onchange: (e) => { this.by = e.target.checked ? 'b' : 'v'; this.zoom = [f.tree]; this.focus = null; this.draw(); }}), ' ' + t('flame.width')) : null;
    this.el = h('div', {class: 'flame-box'}, h('div', {class: 'flame-tools'}, this.search, this.before || '', this.note), h('div', {class: 'flame-scroll'}, this.canvas));
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
    this.note.replaceChildren(h('b', {}, this.name(n)), ` ${this.difference ? format(this.f, n.b || 0) + ' → ' : ''}${format(this.f, n.v)} · ${(share * 100).toFixed(1)} %`,
      this.difference ? ` · ${change(n.v, n.b)}` : '');
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
    this.place(root, 0, top, width, []);
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

  place(n, x, y, w, way) {
    this.cells.push({x, y, w, node: n, way});
    const unit = w / (n[this.by] || 1);
    for (const child of n.c || []) {
      const cw = (child[this.by] || 0) * unit;
      if (cw >= 0.7) this.place(child, x, y + 1, cw, [...way, child]);
      x += cw;
    }
  }

  /** color returns the colour of a frame. In a difference, a change by a quarter of the total is the strongest. */
  color(n) {
    if (!this.difference) return css('--f' + hue(this.name(n)));
    const d = n.v - (n.b || 0), most = Math.max(this.f.total, this.f.base_total) / 4 || 1;
    return `color-mix(in srgb, ${css(d > 0 ? '--grew' : '--fell')} ${Math.round(Math.min(1, Math.sqrt(Math.abs(d) / most)) * 100)}%, ${css('--same')})`;
  }

  box(c, cell) {
    const name = this.name(cell.node), marked = this.query && name.toLowerCase().includes(this.query);
    c.globalAlpha = cell.above !== undefined ? 0.45 : this.query && !marked ? 0.35 : 1;
    c.fillStyle = marked ? css('--alarm') : this.color(cell.node);
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
      c.fillText(func(name) + (this.difference ? '  ' + change(cell.node.v, cell.node.b) : ''), cell.x + 5, cell.y * row + row / 2);
      c.restore();
    }
    c.globalAlpha = 1;
  }

  /** table returns the functions with the greatest self values, or those that changed most. */
  table() {
    const own = new Map();
    const walk = (n) => {
      let v = n.v, b = n.b || 0;
      for (const c of n.c || []) { v -= c.v; b -= c.b || 0; walk(c); }
      const o = own.get(n.n) || [0, 0];
      own.set(n.n, [o[0] + Math.max(0, v), o[1] + Math.max(0, b)]);
    };
    walk(this.f.tree);
    const weight = ([, [v, b]]) => this.difference ? Math.abs(v - b) : v;
    const top = [...own].filter((o) => weight(o) > 0).sort((a, b) => weight(b) - weight(a)).slice(0, 20);
    const cells = this.difference ? ([v, b]) => [format(this.f, b), format(this.f, v), (v > b ? '+' : '−') + format(this.f, Math.abs(v - b)), change(v, b)]
      : ([v]) => [format(this.f, v), (v / this.f.total * 100).toFixed(1)];
    const heads = this.difference ? [t('before'), t('during'), t('growth'), '%'] : [t('flame.self'), '%'];
    return h('details', {class: 'flame-table'}, h('summary', {}, t(this.difference ? 'flame.difftable' : 'flame.table')), h('table', {},
      h('thead', {}, h('tr', {}, h('th', {}, t('flame.function')), ...heads.map((x) => h('th', {class: 'num'}, x)))),
      h('tbody', {}, ...top.map(([n, o]) => h('tr', {}, h('td', {}, h('code', {}, this.f.names[n])), ...cells(o).map((x) => h('td', {class: 'num'}, x)))))));
  }
}
