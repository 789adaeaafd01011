// SPDX-License-Identifier: Apache-2.0

// The main chart: goroutines by state, stacked, with the expected band, and below it the
// rate of creations.
import {h, css} from './dom.js';
import {t} from './i18n.js';
import {count, clock} from './format.js';
import {Plot, gutter} from './plot.js';
import {total, waiting} from './data.js';

/** states in stacking order. Running goroutines are at the bottom, so that they share the base line. */
export const states = [
  {key: 'gmpulse.scheduler.goroutines.running', name: 'running', color: '--running'},
  {key: 'gmpulse.scheduler.goroutines.runnable', name: 'runnable', color: '--runnable'},
  {key: 'gmpulse.scheduler.goroutines.not_in_go', name: 'notInGo', color: '--syscall'},
  {key: waiting, name: 'waiting', color: '--waiting'},
];

/** cut returns the rows of a range and one more on either side: [first, end, times in seconds]. */
export function cut(data, from, to) {
  const i = Math.max(0, data.at(from)), j = Math.min(data.t.length, data.at(to) + 2);
  return [i, j, data.t.slice(i, j).map((ms) => ms / 1000)];
}

/** signal returns the baseline signal of goroutines, or null. */
const signal = (data) => (data.columns.has('band.upper:goroutines') ? 'goroutines' : null);

function stack(data, from, to) {
  const [i, j, times] = cut(data, from, to);
  const columns = states.map((s) => data.col(s.key));
  const sums = states.map(() => new Array(j - i).fill(null));
  for (let r = i; r < j; r++) {
    let sum = 0, any = false;
    columns.forEach((c, s) => {
      const v = c[r];
      if (v !== null && v !== undefined) { sum += v; any = true; }
      if (any) sums[s][r - i] = sum;
    });
  }
  const band = signal(data);
  const of = (kind) => (band ? data.col(`band.${kind}:${band}`).slice(i, j) : new Array(j - i).fill(null));
  return [times, ...sums, data.col(total).slice(i, j), of('lower'), of('upper'), of('expected')];
}

/** tint returns an opaque mix with the background. A transparent colour would mix with the red shade of anomalies. */
const tint = (name, a) => () => `color-mix(in srgb, ${css(name)} ${a}%, ${css('--card')})`;
const alpha = (name, a) => () => `color-mix(in srgb, ${css(name)} ${a}%, transparent)`;

/** anomalies shades the episodes. */
function anomalies(u) {
  const {ctx} = u, {left, top, width, height} = u.bbox;
  const view = u.gm.view, [from, to] = view.range();
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  for (const s of view.data.allEpisodes()) {
    const a = u.valToPos(Math.max(s.from, from) / 1000, 'x', true);
    const b = u.valToPos(Math.min(s.to || view.data.last, to) / 1000, 'x', true);
    if (b < left || a > left + width || s.from > to) continue;
    const suspect = s.kind === 'leak' || s.kind === 'leak-proven' || s.kind === 'stuck';
    const shade = ctx.createLinearGradient(0, top, 0, top + height);
    shade.addColorStop(0, alpha(suspect ? '--alarm' : '--warn', 20)());
    shade.addColorStop(1, alpha(suspect ? '--alarm' : '--warn', 0)());
    ctx.fillStyle = shade;
    ctx.fillRect(a, top, Math.max(b - a, 2), height);
    ctx.fillStyle = css(suspect ? '--alarm' : '--warn');
    ctx.fillRect(a, top, Math.max(b - a, 2), 3 * devicePixelRatio);
  }
  ctx.restore();
}

export function hero(view) {
  const el = h('figure', {class: 'card hero'});
  const values = h('div', {class: 'legend'});
  const when = h('span', {class: 'when'});
  const title = h('h2', {});
  const plot = new Plot(view, {
    height: 268, left: gutter(), format: count, least: 8, build: stack, label: 'goroutines', timeAxis: false,
    series: [
      ...states.map((s, i) => ({stroke: () => css(s.color), fill: i === 0 ? tint(s.color, 62) : undefined, width: 1})),
      {stroke: () => css('--ink'), dash: [3, 3], width: 1},
      {stroke: () => css('--band'), width: 1, dash: [6, 4]},
      {stroke: () => css('--band'), width: 1, dash: [6, 4], auto: false},
      {stroke: () => css('--band'), width: 1, dash: [1, 4]},
    ],
    bands: [
      ...[3, 2, 1].map((i) => ({series: [i + 1, i], fill: tint(states[i].color, [62, 66, 56, 30][i])})),
      {series: [7, 6], fill: alpha('--band', 10)},
    ],
    under: anomalies,
  });
  plot.view = view;
  const created = new Plot(view, {
    height: 46, left: gutter(), format: (v) => count(v), least: 1, timeAxis: false,
    build: (data, from, to) => {
      const [i, j, times] = cut(data, from, to);
      return [times, data.col('gmpulse.goroutine.creations').slice(i, j)];
    },
    series: [{stroke: () => css('--muted'), fill: alpha('--muted', 35), width: 0, paths: uPlot.paths.bars({size: [0.9, 8], align: -1})}],
  });
  for (const p of [plot, created]) {
    const options = p.options.bind(p);
    p.options = (width) => {
      const o = options(width);
      o.hooks.init = [(u) => { u.gm = {view}; }];
      return o;
    };
  }
  const small = h('div', {class: 'rowlabel'});
  const label = h('div', {class: 'created'}, small, created.el);
  el.append(h('figcaption', {}, h('div', {class: 'heading'}, title, when), values), plot.el, label);

  function legend() {
    const ms = view.cursor ?? view.data.last;
    const value = (key) => view.data.value(key, ms);
    const sum = value(total);
    title.replaceChildren(t('hero.title'));
    small.replaceChildren(t('hero.created'));
    when.replaceChildren(view.cursor === null ? '' : clock(ms));
    const band = signal(view.data);
    const lower = band ? value('band.lower:' + band) : null, upper = band ? value('band.upper:' + band) : null;
    values.replaceChildren(
      h('span', {class: 'big'}, count(sum)), h('span', {class: 'total key dashed'}, t('hero.total')),
      ...[...states].reverse().map((s) => h('span', {class: 'key'}, h('i', {class: 'swatch ' + s.name}), t('state.' + s.name), h('b', {}, count(value(s.key))))),
      ...(lower !== null && upper !== null ? [h('span', {class: 'key'}, h('i', {class: 'swatch band'}), t('hero.expected'), h('b', {}, `${count(lower)}–${count(upper)}`))] : []),
    );
  }
  return {el, plot, plots: [plot, created], legend};
}
