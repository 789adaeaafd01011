// SPDX-License-Identifier: Apache-2.0

// Small multiples: cards with charts of the other metrics.
import {h, css} from './dom.js';
import {t, has} from './i18n.js';
import {value as format} from './format.js';
import {Plot} from './plot.js';
import {cut} from './hero.js';

const C = {a: '--c1', b: '--c2', c: '--c3', d: '--c4', limit: '--limit'};

/** line is a series of a card. It is the sum of its columns. */
const line = (name, keys, color = C.a, more = {}) => ({name, keys: [].concat(keys), color, ...more});
const limit = (name, keys) => line(name, keys, C.limit, {dash: [5, 4], limit: true});

/** sections are groups of cards in the order in which the page shows them. */
const sections = [
  {id: 'scheduler', cards: [
    {id: 'queue', unit: '', signal: 'scheduler.runnable_per_processor', lines: [line('max', 'gmpulse.pulse.runnable_per_processor.max', C.b), line('mean', 'gmpulse.pulse.runnable_per_processor.mean', C.a, {fill: true})]},
    {id: 'latency', unit: 's', signal: 'scheduler.latency.p99', lines: [line('p99', 'gmpulse.schedule.duration.p99', C.b), line('p50', 'gmpulse.schedule.duration.p50', C.a)]},
    {id: 'threads', unit: '', lines: [line('threads', 'gmpulse.threads', C.a), line('procs', 'go.processor.limit', C.b, {step: true}), limit('usable', 'gmpulse.cpu.usable')]},
    {id: 'mutex', unit: 's', rate: true, lines: [line('wait', 'gmpulse.mutex.wait.time', C.a, {fill: true})]},
  ]},
  {id: 'requests', cards: [
    {id: 'rate', unit: '', rate: true, lines: [line('started', 'gmpulse.root_spans.started', C.a, {fill: true}), line('ended', 'gmpulse.root_spans.ended', C.b)]},
    {id: 'flight', unit: '', lines: [line('active', 'gmpulse.root_span.active{*', C.a, {fill: true})]},
    {id: 'oldest', unit: 's', lines: [line('age', 'gmpulse.root_span.oldest_age{*', C.b, {max: true})]},
    {id: 'bodies', unit: '', lines: [line('openbodies', 'gmpulse.http_client.open_bodies{*', C.a, {fill: true}), line('lostbodies', 'gmpulse.http_client.lost_bodies{*', C.b)]},
  ]},
  {id: 'memory', cards: [
    {id: 'heap', unit: 'By', signal: 'memory.heap_live', lines: [line('alloc', 'gmpulse.memory.heap_alloc', C.a, {fill: true}), line('live', 'gmpulse.gc.heap_live', C.c), limit('goal', 'go.memory.gc.goal')]},
    {id: 'rss', unit: 'By', lines: [line('rss', 'process.memory.usage', C.a, {fill: true}), line('container', 'gmpulse.cgroup.memory.working_set', C.c, {near: true}), limit('limit', 'gmpulse.cgroup.memory.max')]},
    {id: 'allocs', unit: 'By', rate: true, lines: [line('rate', 'go.memory.allocated', C.a, {fill: true})]},
    {id: 'stacks', unit: 'By', lines: [line('stacks', 'gmpulse.memory.stack_sys', C.d, {fill: true})]},
  ]},
  {id: 'gc', cards: [
    {id: 'cycles', unit: '', rate: true, lines: [line('cycles', 'go.memory.gc.cycles', C.a, {fill: true})]},
    {id: 'pauses', unit: 's', signal: 'gc.pause', lines: [line('gc', 'gmpulse.gc.pause.max', C.a), line('other', 'gmpulse.stw.other.max', C.b)]},
    {id: 'gccpu', unit: '1', lines: [line('share', 'gmpulse.gc.cpu', C.a, {fill: true})]},
  ]},
  {id: 'host', cards: [
    {id: 'cpu', unit: 'cores', lines: [line('process', ['process.cpu.time.user', 'process.cpu.time.system'], C.a, {fill: true}), limit('quota', 'gmpulse.cgroup.cpu.quota')]},
    {id: 'machine', unit: 'cores', lines: [line('busy', ['system.cpu.time.user', 'system.cpu.time.system', 'system.cpu.time.nice', 'system.cpu.time.interrupt'], C.a, {fill: true}), line('steal', 'system.cpu.time.steal', C.b), limit('cpus', 'system.cpu.logical.count')]},
    {id: 'throttle', unit: 's', rate: true, lines: [line('throttled', 'gmpulse.cgroup.cpu.throttled.time', C.b), line('runqueue', 'gmpulse.process.runqueue_wait.time', C.a, {fill: true})]},
    {id: 'pressure', unit: 's', rate: true, lines: [line('cpu', ['gmpulse.cgroup.pressure.cpu.time.some'], C.a, {or: 'gmpulse.system.pressure.cpu.time.some'}), line('memory', 'gmpulse.cgroup.pressure.memory.time.some', C.b, {or: 'gmpulse.system.pressure.memory.time.some'}), line('io', 'gmpulse.cgroup.pressure.io.time.some', C.c, {or: 'gmpulse.system.pressure.io.time.some'})]},
    {id: 'files', unit: '', lines: [line('open', 'process.unix.file_descriptor.count', C.a, {fill: true})]},
    {id: 'network', unit: 'By', rate: true, lines: [line('in', 'system.network.io.receive', C.a), line('out', 'system.network.io.transmit', C.b)]},
  ]},
  {id: 'exporters', cards: [
    {id: 'delivered', unit: '', rate: true, lines: [line('delivered', 'gmpulse.exporter.delivered{*', C.a, {fill: true})]},
    {id: 'dropped', unit: '', rate: true, lines: [line('dropped', 'gmpulse.exporter.dropped{*', C.b), line('failures', 'gmpulse.exporter.failures{*', C.d)]},
    {id: 'pending', unit: '', lines: [line('pending', 'gmpulse.exporter.pending{*', C.a, {fill: true})]},
  ]},
  {id: 'agent', cards: [
    {id: 'tick', unit: 's', lines: [line('tick', 'gmpulse.tick.duration', C.a, {fill: true}), line('host', 'gmpulse.host.duration', C.c)]},
    {id: 'late', unit: 's', lines: [line('pulse', 'gmpulse.pulse.lateness.max', C.b), line('ticks', 'gmpulse.tick.lateness', C.a)]},
    {id: 'missed', unit: '', rate: true, lines: [line('missed', 'gmpulse.ticks_missed', C.b), line('repairs', 'gmpulse.repairs', C.a)]},
  ]},
];

/** userSection has a card for each application gauge. */
const userSection = (data) => ({
  id: 'own',
  cards: data.own.map((key) => ({id: key, plain: key, help: data.metric(key).help, unit: data.metric(key).unit, lines: [line('', key, C.a, {fill: true})]})),
});

/** rows returns the values of a line within [i, j). A value is absent if all columns are. */
function rows(data, l, i, j) {
  let columns = [];
  for (const key of l.keys) {
    if (key.endsWith('*')) columns.push(...data.series(key.slice(0, -2)).map(([, v]) => v));
    else if (data.columns.has(key)) columns.push(data.col(key));
  }
  if (!columns.length && l.or && data.columns.has(l.or)) columns = [data.col(l.or)];
  if (columns.length === 1) return columns[0].slice(i, j);
  const out = new Array(j - i).fill(null);
  for (const c of columns) {
    for (let r = i; r < j; r++) {
      const v = c[r];
      if (v === null || v === undefined) continue;
      out[r - i] = l.max ? Math.max(out[r - i] ?? v, v) : (out[r - i] ?? 0) + v;
    }
  }
  return out;
}

const known = (data, l) => [...l.keys, l.or].some((key) => key && (key.endsWith('*') ? data.series(key.slice(0, -2)).length : data.col(key).some((v) => v !== null)));

class Card {
  constructor(view, spec) {
    this.view = view;
    this.spec = spec;
    this.lines = spec.lines;
    this.head = h('figcaption', {});
    const unit = spec.unit === 'cores' ? '' : spec.unit;
    this.text = (v) => format(v, unit, spec.rate);
    this.plot = new Plot(view, {
      height: 96, left: 58, format: (v) => format(v, unit), binary: unit === 'By', least: spec.unit === 'By' ? 1024 : spec.unit === 's' ? 1e-4 : spec.unit === '1' ? 0.01 : 1, timeAxis: false,
      build: (data, from, to) => {
        const [i, j, times] = cut(data, from, to);
        const band = spec.signal ? ['lower', 'upper'].map((b) => data.columns.has(`band.${b}:${spec.signal}`) ? data.col(`band.${b}:${spec.signal}`).slice(i, j) : new Array(j - i).fill(null)) : [];
        return [times, ...this.lines.map((l) => rows(data, l, i, j)), ...band];
      },
      bands: spec.signal ? [{series: [spec.lines.length + 2, spec.lines.length + 1], fill: () => `color-mix(in srgb, ${css('--band')} 13%, transparent)`}] : undefined,
      series: [...this.lines.map((l) => ({
        stroke: () => css(l.color), dash: l.dash, width: l.limit ? 1 : 1.4, spanGaps: true, auto: !l.limit && !l.near,
        fill: l.fill ? () => `color-mix(in srgb, ${css(l.color)} 16%, transparent)` : undefined,
        paths: l.step ? uPlot.paths.stepped({align: 1}) : undefined,
      })), ...(spec.signal ? [0, 1].map(() => ({stroke: () => css('--band'), width: 0.75, dash: [4, 4], auto: false})) : [])],
      min: (lo) => Math.min(0, lo ?? 0), most: (u, hi) => this.reach(u, hi),
    });
    this.el = h('figure', {class: 'card small', 'data-card': spec.id}, this.head, this.plot.el);
  }

  /** reach returns the top of the scale. It ignores lines marked near that are far above the others. */
  reach(u, hi) {
    const near = this.lines.map((l, k) => (l.near ? u.data[k + 1].reduce((m, v) => Math.max(m, v ?? 0), 0) : 0));
    return Math.max(hi, ...near.filter((v) => v <= 2 * hi));
  }

  title() { return this.spec.plain || t('card.' + this.spec.id); }

  legend() {
    const {data} = this.view, i = data.at(this.view.cursor ?? data.last);
    const tip = this.spec.help || (has('help.' + this.spec.id) ? t('help.' + this.spec.id) : '');
    this.head.replaceChildren(h('h3', {title: tip}, this.title()), h('div', {class: 'values'}, ...this.lines.map((l) => {
      const v = i < 0 ? null : rows(data, l, i, i + 1)[0];
      if (l.limit && (v === null || v === undefined)) return null;
      return h('span', {class: 'key'}, h('i', {class: 'dot ' + l.color.slice(2) + (l.dash ? ' dashed' : '')}), l.name ? t('line.' + l.name) : '', h('b', {}, this.text(v)));
    })));
  }
}

/** multiples creates the sections. They have only cards with data. */
export function multiples(view) {
  const el = h('div', {class: 'sections'});
  let cards = [];
  function build() {
    cards = [];
    const all = [...sections.slice(0, 2), ...(view.data.own.length ? [userSection(view.data)] : []), ...sections.slice(2)];
    el.replaceChildren(...all.map((s) => {
      const own = s.cards.filter((c) => c.lines.some((l) => known(view.data, l))).map((c) => new Card(view, c));
      if (!own.length) return null;
      cards.push(...own);
      return h('details', {class: 'section', open: true, 'data-section': s.id},
        h('summary', {}, h('h2', {}, t('section.' + s.id))), h('div', {class: 'grid'}, ...own.map((c) => c.el)));
    }).filter(Boolean));
    count = available();
  }
  const available = () => sections.reduce((n, s) => n + s.cards.filter((c) => c.lines.some((l) => known(view.data, l))).length, 0) + view.data.own.length;
  let count = 0, ticks = 0;
  return {
    el, build,
    get plots() { return cards.map((c) => c.plot); },
    legend() { for (const c of cards) if (c.plot.seen) c.legend(); },
    /** settle rebuilds the sections, at most every five samples, if there is data for more cards. */
    settle() { if (++ticks % 5 === 0 && available() !== count) { build(); return true; } return false; },
  };
}
