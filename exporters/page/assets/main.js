// SPDX-License-Identifier: Apache-2.0

// Entry point: builds the page and passes samples, keys and the link to its parts.
import {h, icon, icons, fill} from './dom.js';
import {t, choose, lang, signal, evidence} from './i18n.js';
import {value as inUnits, count, seconds, clock, func, file} from './format.js';
import {api, Feed} from './net.js';
import {Data, total} from './data.js';
import {View, widths} from './view.js';
import {hero, states} from './hero.js';
import {Lanes, Rail} from './lanes.js';
import {multiples} from './small.js';
import {Moment} from './moment.js';
import {table} from './table.js';
import {CPU} from './cpu.js';
import {commandDialog} from './profiles.js';

const $ = (id) => document.getElementById(id);
const data = new Data(), view = new View(data);
const fragment = () => new URLSearchParams(location.hash.slice(1));
let state = 'lost', goroutines = {verdicts: [], groups: [], total: 0}, surveys = -1, parts = null, moment = null;

const say = (text) => {
  $('announce').replaceChildren(text);
  const toast = h('div', {class: 'toast', 'aria-hidden': 'true'}, text);
  document.body.append(toast);
  setTimeout(() => toast.remove(), 2600);
};

/* ---- link: the fragment has language, theme, range and selection ---- */

function permalink() {
  const f = new URLSearchParams();
  const [from, to] = view.range().map(Math.round);
  f.set('range', `${from}-${to}`);
  if (view.selection) f.set('moment', view.selection.map(Math.round).join('-'));
  f.set('lang', lang());
  history.replaceState(null, '', '#' + f);
  navigator.clipboard?.writeText(location.href).then(() => say(t('linked')), () => say(location.href));
}

const pair = (text) => { const m = /^(\d+)-(\d+)$/.exec(text || ''); return m && [Number(m[1]), Number(m[2])]; };

function follow() {
  const f = fragment(), range = pair(f.get('range')), selection = pair(f.get('moment'));
  if (range) view.show(...range);
  if (selection) view.select(...selection);
}

function remember(key, value) {
  const f = fragment();
  f.set(key, value);
  history.replaceState(null, '', '#' + f);
}

/* ---- theme ---- */

const themes = ['auto', 'light', 'dark'];
function setTheme(name) {
  document.documentElement.dataset.theme = themes.includes(name) ? name : 'auto';
  if (parts) { for (const p of plots()) p.remake(); render(); }
}

/* ---- header ---- */

function header() {
  const r = data.meta.resource;
  $('service').replaceChildren(r['service.name'] || 'gmpulse');
  document.title = (r['service.name'] || '') + ' · gmpulse';
  const facts = [r['service.version'], r['host.name'], r['process.pid'] && 'pid ' + r['process.pid'], r['process.runtime.version']].filter(Boolean);
  $('facts').replaceChildren(...facts.map((f) => h('span', {}, f)), h('span', {id: 'up'}), ...(data.meta.no_spans ? [h('span', {'data-id': 'no-spans', title: t('fact.nospans.help')}, t('fact.nospans'))] : []));
  uptime();
}

/** uptime shows the time until the newest sample, because a service that sends none may have ended. */
function uptime() {
  if ($('up') && data.meta.start) $('up').replaceChildren(t('fact.up', {time: seconds(Math.max(0, Math.round((data.last - data.meta.start) / 1000)))}));
}

function toolbar() {
  const shown = view.paused ? 'paused' : state;
  const looks = [shown, view.zoomed, view.width, data.meta.can_capture, data.meta.pprof, parts?.table.shown, lang(), document.documentElement.dataset.theme].join();
  if ($('tools').dataset.looks === looks) return; // do not replace buttons under the pointer
  $('tools').dataset.looks = looks;
  const button = (id, path, f, more) => h('button', {class: 'tool', type: 'button', title: t(id), 'aria-label': t(id), onclick: f, ...more}, icon(path));
  const ranges = h('div', {class: 'ranges', role: 'group', 'aria-label': t('tool.range')}, ...widths.map((w) => h('button', {
    type: 'button', 'aria-pressed': String(!view.zoomed && view.width === w), onclick: () => view.setWidth(w),
  }, t('range.' + w / 1000))));
  const focus = document.activeElement?.getAttribute?.('aria-label');
  $('state').className = 'state ' + shown;
  $('state').title = t('state.' + shown);
  $('state').replaceChildren(h('i', {}), t('state.' + shown));
  $('tools').setAttribute('aria-label', 'gmpulse');
  $('tools').replaceChildren(
    view.zoomed ? h('button', {type: 'button', class: 'link', onclick: () => view.reset()}, t('tool.reset')) : '',
    ranges,
    button(view.paused ? 'tool.resume' : 'tool.pause', view.paused ? icons.play : icons.pause, () => view.pause(!view.paused)),
    data.meta.can_capture ? button('tool.capture', icons.camera, capture) : '',
    data.meta.pprof ? button('tool.pprof', icons.flame, () => commandDialog(app)) : '',
    button('tool.table', icons.table, toggleTable, {'aria-pressed': String(parts?.table.shown ?? false)}),
    h('button', {class: 'tool text', type: 'button', lang: lang() === 'en' ? 'zh-CN' : 'en', onclick: () => setLanguage(lang() === 'en' ? 'zh-CN' : 'en')}, t('tool.lang')),
    button('tool.theme', icons.theme, () => {
      const next = themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length];
      remember('theme', next);
      setTheme(next);
    }),
    button('tool.help', icons.help, help));
  if (focus) [...$('tools').querySelectorAll('button')].find((b) => b.getAttribute('aria-label') === focus)?.focus();
}

function setLanguage(l) {
  choose(l);
  remember('lang', l);
  parts.multiples.build();
  parts.cpu.again();
  header();
  render();
  moment.draw();
}

/* ---- verdict ---- */

const harmless = ['load', 'connections', 'pool', 'growing'];

/** place returns the line of code to look at. */
function place(g) {
  return h('code', {title: g.function}, g.verdict.where || func(g.function) + (g.line ? ` (${file(g.file)}:${g.line})` : ''));
}

function verdict() {
  const el = $('verdict');
  if (!data.t.length) {
    el.dataset.level = 'calm';
    el.replaceChildren(h('p', {}, t('verdict.waiting')));
    return;
  }
  const groups = goroutines.verdicts.filter((g) => !harmless.includes(g.verdict.kind));
  const bands = data.allEpisodes().filter((s) => s.source === 'band' && !s.to);
  const n = data.value(total, data.last);
  const lost = data.events.findLast((e) => e.name.startsWith('http.client.body_lost.')), unclosed = lost && !lost.name.endsWith('closed') && lost.attrs;
  const suspect = groups.some((g) => g.verdict.suspect), level = suspect || unclosed ? 'alarm' : groups.length || bands.length ? 'warn' : 'calm';
  const growing = goroutines.verdicts.filter((g) => g.verdict.kind === 'growing');
  let line, episode;
  if (unclosed && !suspect) {
    episode = {from: data.events.findLast((e) => e.name === 'http.client.body_lost.opened' && e.attrs.site === unclosed.site)?.t ?? lost.t, to: 0};
    line = fill(t('verdict.unclosed'), {kind: h('b', {class: 'kind'}, t('kind.unclosed')), n: h('b', {}, count(unclosed.lost)), place: h('code', {title: unclosed.hint}, unclosed.site), root: h('b', {}, unclosed['span.name'] || t('answer.norequest'))});
  } else if (groups.length) {
    const g = groups[0], root = g.roots?.find((r) => r.name);
    episode = data.allEpisodes().findLast((s) => s.source === 'goroutines' && s.subject === g.site) || {from: g.verdict.since, to: 0};
    line = [
      ...fill(t('verdict.group'), {kind: h('b', {class: 'kind'}, t('kind.' + g.verdict.kind)), n: h('b', {}, count(g.count)), wait: g.wait,
        place: place(g)}),
      ...(g.verdict.per_minute >= 1 ? fill(t('verdict.rate'), {rate: h('b', {}, '+' + count(g.verdict.per_minute))}) : []),
      ...(root ? fill(t('verdict.under'), {root: h('b', {}, root.name)}) : []),
    ];
  } else if (bands.length) {
    episode = bands[0];
    line = fill(t('verdict.band'), {signal: h('b', {class: 'kind'}, signal(episode.subject)), value: h('b', {}, inUnits(episode.peak, episode.unit)), expected: inUnits(episode.expected, episode.unit)});
  } else if (growing.length) {
    const g = growing[0], root = g.roots?.find((r) => r.name);
    line = [...fill(t('verdict.growing'), {n: h('b', {}, count(g.count)), place: place(g)}),
      ...(root ? fill(t('verdict.under'), {root: h('b', {}, root.name)}) : []), h('span', {class: 'quiet'}, ' · ' + evidence(g.verdict.evidence || ''))];
  } else {
    line = fill(t('verdict.calm'), {n: h('b', {}, count(n))});
  }
  const more = groups.length + bands.length + (unclosed ? 1 : 0) - 1;
  const text = line.map((x) => x.textContent ?? x).join('') + level + lang() + more;
  if (el.dataset.text === text) return; // screen readers announce each replacement
  el.dataset.text = text;
  el.dataset.level = level;
  el.replaceChildren(h('p', {}, h('i', {class: 'lamp', 'aria-hidden': 'true'}), h('span', {}, ...line), episode ? h('span', {class: 'quiet'}, ' ' + t('verdict.since', {time: clock(episode.from)})) : null,
    more > 0 ? h('span', {class: 'quiet'}, ' · ' + t('verdict.more', {n: more})) : null),
  ...(episode ? [h('button', {type: 'button', class: 'look', onclick: () => view.selectEpisode(episode)}, t('verdict.look'))] : []));
}

let listed = 0;
/** captures loads the captures that the rail shows. */
async function captures() {
  listed = Date.now();
  parts.rail.captures = (await api('captures')).captures;
}

async function report() {
  if (!data.meta.goroutines || data.now.surveys === surveys) return;
  surveys = data.now.surveys;
  try {
    goroutines = await api('goroutines');
    verdict();
    if (data.meta.captures && Date.now() - listed > 20e3) await captures();
    if (moment.shown && view.selection && data.last - view.selection[1] < 15e3) {
      if (view.episodeAt(view.selection[0]) && !view.episodeAt(view.selection[0]).to) view.selection[1] = data.last;
      moment.refresh();
    }
  } catch { surveys = -1; } // the next sample tries again
}

/* ---- drawing ---- */

const plots = () => [...parts.hero.plots, ...parts.multiples.plots];

let due = false;
/** render draws everything at the next animation frame. */
function render() {
  if (due || !parts) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    for (const p of plots()) p.update();
    parts.lanes.update();
    parts.rail.update();
    parts.hero.legend();
    parts.multiples.legend();
    parts.table.update();
    parts.cpu.update();
    parts.lanesTitle.replaceChildren(t('lanes.title'));
    verdict();
    toolbar();
    slider();
  });
}

function cursor() {
  for (const p of plots()) if (p.u) p.cursor();
  parts.lanes.cursor();
  parts.rail.cursor();
  parts.hero.legend();
  parts.multiples.legend();
  slider();
}

function selection() {
  for (const p of plots()) if (p.u) p.selection();
  parts.lanes.selection();
  parts.rail.selection();
  if (!view.dragging) parts.cpu.update();
}

/** slider updates the ARIA slider that makes the timeline accessible. */
function slider() {
  const el = parts.slider, ms = view.cursor ?? data.last, get = (k) => count(data.value(k, ms));
  const [from, to] = view.range();
  const spans = data.series('gmpulse.root_span.active').reduce((n, [, v]) => n + (v[data.at(ms)] || 0), 0);
  el.setAttribute('aria-label', t('hero.slider'));
  el.setAttribute('aria-valuemin', Math.round(from / 1000));
  el.setAttribute('aria-valuemax', Math.round(to / 1000));
  el.setAttribute('aria-valuenow', Math.round(Math.min(to, Math.max(from, ms)) / 1000));
  if (document.activeElement === el || !el.hasAttribute('aria-valuetext')) {
    el.setAttribute('aria-valuetext', t('hero.at', {time: clock(ms), n: get(total), running: get(states[0].key), runnable: get(states[1].key), waiting: get(states[3].key), spans}));
  }
}

function build() {
  const lanesTitle = h('h2', {class: 'lanes-title'}, '');
  const lanes = new Lanes(view), rail = new Rail(view);
  const top = hero(view);
  const control = h('div', {class: 'timeline', tabindex: '0', role: 'slider', 'aria-valuenow': '0'});
  parts = {hero: top, lanes, rail, lanesTitle, multiples: multiples(view), table: table(view), cpu: new CPU(view, app), slider: control};
  top.el.append(lanesTitle, lanes.el, rail.el, control);
  parts.multiples.build();
  $('charts').replaceChildren(top.el, parts.cpu.el, parts.table.el, parts.multiples.el);
  const at = (x) => [...document.querySelectorAll('.hero .over')].find((o) => o === x);
  top.el.addEventListener('pointerdown', (e) => { if (at(e.target)) control.focus({preventScroll: true}); });
}

/* ---- actions ---- */

function jump(direction) {
  const s = view.neighbour(direction);
  if (!s) { say(t('jump.none')); return; }
  view.setCursor(s.from);
  view.selectEpisode(s);
}

function zoomTo(from, to) {
  const pad = (to - from) * 0.15 + 2000;
  view.show(from - pad, Math.min(to + pad, data.last));
}

function dialog(title, body) {
  const d = $('dialog');
  d.setAttribute('aria-label', title);
  d.replaceChildren(h('div', {class: 'dialog-head'}, h('h2', {}, title), h('button', {class: 'tool', type: 'button', title: t('close'), 'aria-label': t('close'), onclick: () => d.close()}, icon(icons.close))), body);
  if (!d.open) d.showModal();
}

async function capture() {
  say(t('captures.taking'));
  try {
    const {id} = await api('captures', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify({reason: 'requested on the page'})});
    say(t('captures.taken', {id}));
    await captures();
    moment.refresh();
    render();
  } catch (e) {
    say(t('failed', {error: e.message}));
  }
}

function toggleTable() {
  parts.table.toggle();
  render();
}

const keys = [['space', 'help.space'], ['← →', 'help.arrows'], ['Enter', 'help.enter'], ['[ ]', 'help.brackets'], ['+ −', 'help.zoom'], ['0', 'help.zero'],
  ['z', 'help.z'], ['l', 'help.l'], ['t', 'help.t'], ['Esc', 'help.esc'], ['?', 'help.help']];

function help() {
  dialog(t('help.title'), h('div', {class: 'help'}, h('p', {}, t('help.mouse')),
    h('dl', {}, ...keys.flatMap(([k, text]) => [h('dt', {}, h('kbd', {}, k)), h('dd', {}, t(text))])),
    h('h3', {}, t('help.marks')),
    h('ul', {class: 'marks'}, ...['verdict', 'anomaly', 'capture', 'procs', 'drop', 'other'].map((k) => h('li', {}, h('i', {class: 'mark-icon is-' + k}), t('mark.' + k))))));
}

function onKey(e) {
  if (e.ctrlKey || e.metaKey || e.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(e.target.tagName)) return;
  if ($('dialog').open) return; // it handles its own keys
  const onButton = /^(BUTTON|A|SUMMARY)$/.test(e.target.tagName);
  const act = {
    ' ': onButton ? null : () => view.pause(!view.paused),
    ArrowLeft: () => view.step(e.shiftKey ? -10 : -1), ArrowRight: () => view.step(e.shiftKey ? 10 : 1),
    Home: e.target === parts.slider ? () => view.setCursor(view.range()[0]) : null, End: e.target === parts.slider ? () => view.setCursor(data.last) : null,
    Enter: onButton ? null : () => view.pick(view.cursor ?? data.last),
    '[': () => jump(-1), ']': () => jump(1), '0': () => view.reset(), '+': () => view.scale(0.5), '=': () => view.scale(0.5), '-': () => view.scale(2),
    z: () => view.selection && zoomTo(...view.selection), l: permalink, t: toggleTable, '?': help,
    Escape: () => { if (moment.shown) { moment.close(); parts.slider.focus(); } else view.setCursor(null); },
  }[e.key];
  if (!act) return;
  e.preventDefault();
  act();
}

/* ---- start ---- */

async function load() {
  await data.load();
  surveys = -1;
  if (data.meta.captures) await captures().catch(() => {}); // report tries again
  header();
  parts.multiples.build();
  render();
}

/** app is what the parts of the page need of it. */
const app = {data, say, dialog, permalink, jump, zoomTo, capture};

async function start() {
  choose(fragment().get('lang') || new URLSearchParams(location.search).get('lang'));
  setTheme(fragment().get('theme') || 'auto');
  build();
  moment = new Moment(view, app);
  view.addEventListener('view', render);
  view.addEventListener('cursor', cursor);
  view.addEventListener('drag', selection);
  view.addEventListener('selection', selection);
  document.addEventListener('keydown', onKey);
  addEventListener('resize', () => { for (const p of plots()) p.remake(); render(); });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { for (const p of plots()) p.remake(); render(); });
  const feed = new Feed(data, {
    sample: () => { parts.multiples.settle(); uptime(); render(); report(); },
    state: (s) => { state = s; toolbar(); },
    reset: () => again(),
  });
  /** again loads everything, and retries every three seconds if that fails. */
  async function again() {
    feed.stop();
    try {
      await load();
      feed.start();
      report();
    } catch {
      state = 'lost';
      toolbar();
      setTimeout(again, 3000);
    }
  }
  await again();
  follow();
  addEventListener('hashchange', follow);
}

start();
