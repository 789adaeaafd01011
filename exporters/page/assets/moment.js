// SPDX-License-Identifier: Apache-2.0

// The moment panel explains a range of time: verdicts, groups of goroutines, changes of
// metrics, requests, events and captures.
import {h, icon, icons, fill} from './dom.js';
import {t, hint, evidence, signal} from './i18n.js';
import {api, fileURL} from './net.js';
import {value, count, seconds, clock, span, func, file} from './format.js';
import {copyButton, command, flameDialog} from './profiles.js';

export class Moment {
  constructor(view, app) {
    this.view = view;
    this.app = app; // {data, say, dialog, permalink, jump, zoomTo, capture}
    this.el = document.getElementById('moment');
    this.all = false; // whether all metrics are shown, not only those that changed
    this.asked = 0;
    this.data = null;
    view.addEventListener('selection', () => this.open());
  }

  get shown() { return !this.el.hidden; }

  async open() {
    const sel = this.view.selection;
    if (!sel) { this.close(); return; }
    const first = this.el.hidden;
    this.el.hidden = false;
    document.body.classList.add('with-moment');
    if (first) this.el.replaceChildren(h('p', {class: 'quiet'}, t('loading')));
    await this.refresh();
    if (first) this.el.focus({preventScroll: true});
  }

  close() {
    if (this.el.hidden) return;
    this.el.hidden = true;
    this.data = null;
    document.body.classList.remove('with-moment');
    if (this.view.selection) this.view.select(null);
  }

  /** refresh loads the data of the selection again. */
  async refresh() {
    const sel = this.view.selection;
    if (!sel) return;
    const asked = ++this.asked;
    try {
      const query = new URLSearchParams({from: Math.round(sel[0]), to: Math.round(sel[1])});
      const [m, c] = await Promise.all([api('moment?' + query), this.app.data.meta.captures ? api('captures') : {captures: []}]);
      if (asked !== this.asked || !this.view.selection) return;
      this.data = m;
      this.captures = c.captures;
      this.draw();
    } catch (e) {
      if (asked === this.asked) this.el.replaceChildren(h('p', {class: 'quiet'}, t('failed', {error: e.message})));
    }
  }

  draw() {
    const m = this.data;
    if (!m) return;
    const kept = this.el.scrollTop, focus = document.activeElement?.dataset?.id;
    const open = [...this.el.querySelectorAll('details[open][data-id]')].map((d) => d.dataset.id);
    this.el.setAttribute('aria-label', t('moment.title'));
    this.el.replaceChildren(this.head(m), ...[
      this.answers(m), this.profiles(m), this.groups(m), this.changes(m), this.spans(m), this.happened(m), this.evidence(m),
    ].filter(Boolean));
    for (const id of open) this.el.querySelector(`details[data-id="${CSS.escape(id)}"]`)?.setAttribute('open', '');
    this.el.scrollTop = kept;
    if (focus) this.el.querySelector(`[data-id="${CSS.escape(focus)}"]`)?.focus();
  }

  head(m) {
    const tool = (id, path, f) => h('button', {class: 'tool', type: 'button', 'data-id': id, title: t(id), 'aria-label': t(id), onclick: f}, icon(path));
    const query = new URLSearchParams({from: Math.round(m.from), to: Math.round(m.to)});
    return h('div', {class: 'moment-head'},
      h('div', {}, h('h2', {}, t('moment.title')), h('p', {class: 'quiet'}, span(m.from, m.to) + ' · ' + t('moment.before', {range: span(...m.before)}))),
      h('div', {class: 'tools'},
        tool('moment.prev', icons.prev, () => this.app.jump(-1)), tool('moment.next', icons.next, () => this.app.jump(1)),
        tool('moment.zoom', icons.zoom, () => this.app.zoomTo(m.from, m.to)), tool('moment.link', icons.link, () => this.app.permalink()),
        h('a', {class: 'tool', href: 'api/v1/incident.zip?' + query, download: true, title: t('moment.zip'), 'aria-label': t('moment.zip')}, icon(icons.down)),
        tool('moment.close', icons.close, () => this.close())));
  }

  /** answers returns the verdicts and the signals outside their bands. */
  answers(m) {
    const list = m.groups.filter((g) => g.verdict && !['load', 'connections', 'pool'].includes(g.verdict.kind)).slice(0, 4);
    const bands = m.episodes.filter((s) => s.source === 'band').slice(0, 4);
    if (!list.length && !bands.length) return h('section', {}, h('p', {class: 'answer calm'}, t('moment.nothing')));
    return h('section', {}, ...list.map((g) => this.answer(g)), ...bands.map((s) => h('article', {class: 'answer band'},
      h('p', {}, ...fill(t('moment.band'), {signal: h('b', {}, signal(s.subject)), value: h('b', {}, value(s.peak, s.unit)), expected: value(s.expected, s.unit), time: clock(s.from)})))));
  }

  /** profiles returns buttons that compare profiles with those of the last healthy hour. */
  profiles(m) {
    if (!this.app.data.meta.profiles) return null;
    return h('section', {class: 'compare'}, h('h3', {}, t('flame.healthy')), ...['cpu', 'heap', 'goroutine'].map((k) => this.compare(k, m.from, m.to, t('profile.' + k))));
  }

  compare(kind, from, to, text) {
    if (kind === 'cpu' && !this.app.data.meta.cpu) return null;
    from = Math.min(from, to - 60e3); // CPU profiles are taken twice a minute
    const title = t('flame.difference', {kind: t('profile.' + kind)});
    return h('button', {class: text ? 'link' : 'tool tiny', type: 'button', 'data-id': `compare-${kind}-${to}`, title, 'aria-label': title,
      onclick: () => flameDialog(this.app, {history: kind, from: Math.round(from), to: Math.round(to), base: 'healthy'}, title)}, icon(icons.compare), text || '');
  }

  answer(g) {
    const v = g.verdict, root = g.roots?.find((r) => r.name);
    return h('article', {class: 'answer ' + (v.suspect ? 'alarm' : v.kind === 'growing' ? 'calm' : 'warn')},
      h('h3', {}, h('span', {class: 'chip'}, t('kind.' + v.kind)), ' ', t('what.' + v.kind)),
      h('p', {}, ...fill(t(v.per_minute >= 1 ? 'answer.growing' : 'answer.still'), {
        n: h('b', {}, count(g.count)), wait: h('b', {}, g.wait), rate: h('b', {}, '+' + count(v.per_minute)), time: clock(v.since),
      })),
      h('dl', {},
        h('dt', {}, t('answer.where')), h('dd', {}, v.where && v.where !== g.site ? h('div', {}, h('code', {class: 'place'}, v.where)) : null,
          h('code', {class: 'place', title: g.function + '\n' + g.file + ':' + g.line}, func(g.function)), h('span', {class: 'at'}, file(g.file) + ':' + g.line)),
        v.created_at && v.created_at !== v.where ? [h('dt', {}, t('answer.created')), h('dd', {}, h('code', {class: 'place'}, v.created_at))] : null,
        root ? [h('dt', {}, t('answer.under')), h('dd', {}, ...this.roots(g))] : null,
        v.evidence ? [h('dt', {}, t('answer.why')), h('dd', {}, v.leaked ? t('answer.proven', {n: count(v.leaked)}) : evidence(v.evidence))] : null,
        v.hint ? [h('dt', {}, t('answer.hint')), h('dd', {}, hint(v.hint))] : null,
        v.until_memory_limit ? [h('dt', {}, t('answer.limit')), h('dd', {}, seconds(v.until_memory_limit))] : null),
      this.more(g));
  }

  more(g) {
    return h('details', {class: 'more', 'data-id': 'more' + g.id}, h('summary', {}, t('answer.more')),
      g.verdict?.ages?.length ? h('p', {class: 'quiet'}, t('answer.ages') + ' ' + g.verdict.ages.map((a) => `≥ ${seconds(a.at_least)}: ${count(a.count)}`).join(' · ')) : null,
      g.stack ? h('ol', {class: 'stack'}, ...g.stack.map((s) => h('li', {}, h('code', {}, s)))) : null);
  }

  /** roots returns the root spans that goroutines were created under, with links to traces. */
  roots(g) {
    const all = g.roots.reduce((n, r) => n + r.count, 0) || 1;
    return g.roots.slice(0, 4).map((r) => h('div', {class: 'root'},
      h('span', {class: 'share'}, h('i', {style: {width: Math.max(2, r.count / all * 100) + '%'}})),
      h('b', {}, r.name || t('answer.norequest')), ' ', h('span', {class: 'quiet'}, count(r.count)),
      ...(r.examples || []).slice(0, 3).map((s) => this.trace(s))));
  }

  trace(s) {
    const url = this.app.data.meta.trace_url, short = s.trace.slice(0, 8) + '…';
    const target = url && url.replaceAll('{trace_id}', s.trace).replaceAll('{span_id}', s.span);
    return h('span', {class: 'trace'},
      target ? h('a', {href: target, target: '_blank', rel: 'noopener noreferrer', title: s.trace}, short, icon(icons.out)) : h('code', {title: s.trace}, short),
      copyButton(s.trace, this.app.say));
  }

  groups(m) {
    const list = m.groups.filter((g) => g.count || g.before).slice(0, this.all ? 24 : 8);
    if (!list.length) return null;
    const most = Math.max(1, ...list.map((g) => Math.abs(g.count - g.before)));
    return h('section', {}, h('h3', {}, t('groups.title')), m.survey ? h('p', {class: 'quiet'}, t('groups.surveys', {then: clock(m.survey), before: clock(m.survey_before)})) : null,
      h('div', {class: 'scroll', tabindex: '0', role: 'group', 'aria-label': t('groups.title')}, h('table', {class: 'groups'}, h('thead', {}, h('tr', {}, h('th', {}, t('groups.group')), h('th', {class: 'num'}, t('before')), h('th', {class: 'num'}, t('during')), h('th', {class: 'num'}, t('growth')))),
        h('tbody', {}, ...list.map((g) => h('tr', {},
          h('td', {}, h('div', {}, g.verdict ? h('span', {class: 'chip small ' + (g.verdict.suspect ? 'alarm' : '')}, t('kind.' + g.verdict.kind)) : null, ' ', h('b', {class: 'wait'}, g.wait)),
            h('code', {title: g.function + '\n' + g.file}, func(g.function)), h('span', {class: 'at'}, g.line ? file(g.file) + ':' + g.line : file(g.file)),
            g.roots?.some((r) => r.name) ? h('div', {class: 'quiet under'}, t('groups.under', {roots: g.roots.filter((r) => r.name).slice(0, 2).map((r) => `${r.name} (${count(r.count)})`).join(', ')})) : null),
          h('td', {class: 'num'}, count(g.before)), h('td', {class: 'num'}, count(g.count)),
          h('td', {class: 'num growth'}, (g.count > g.before ? '+' : '') + count(g.count - g.before), h('i', {class: 'growbar ' + (g.count >= g.before ? 'up' : ''), style: {width: Math.abs(g.count - g.before) / most * 100 + '%'}}))))))),
      this.app.data.meta.goroutines ? h('button', {class: 'link', type: 'button', 'data-id': 'flame-now', onclick: () => flameDialog(this.app, {}, t('flame.now'))}, icon(icons.flame), t('flame.open')) : null);
  }

  changes(m) {
    const known = m.changes.filter((c) => !/^(gmpulse\.(tick|host|exporter|survey|pulse\.goroutines\.(min|mean))|band\.)/.test(c.key) || this.all);
    const list = this.all ? known : known.filter((c) => Math.abs(c.score) >= 3).slice(0, 10);
    const unit = (key) => { const x = this.app.data.metric(key); return [x.unit, x.kind === 'counter']; };
    return h('section', {}, h('h3', {}, t('changes.title')),
      !list.length ? h('p', {class: 'quiet'}, t('changes.none')) : h('div', {class: 'scroll', tabindex: '0', role: 'group', 'aria-label': t('changes.title')}, h('table', {class: 'changes'}, h('thead', {}, h('tr', {}, h('th', {}, t('changes.metric')), h('th', {class: 'num'}, t('before')), h('th', {class: 'num'}, t('during')), h('th', {class: 'num'}, t('changes.peak')))),
        h('tbody', {}, ...list.map((c) => h('tr', {},
          h('td', {title: this.app.data.metric(c.key).help}, h('code', {}, c.key.replace(/^gmpulse\./, '').replace(/^go\.goroutine/, 'goroutine'))),
          h('td', {class: 'num'}, value(c.before, ...unit(c.key))),
          h('td', {class: 'num ' + (Math.abs(c.score) > 3 ? c.score > 0 ? 'rose' : 'fell' : '')}, (Math.abs(c.score) > 1 ? c.score > 0 ? '↑ ' : '↓ ' : '') + value(c.during, ...unit(c.key))),
          h('td', {class: 'num quiet'}, value(c.peak, ...unit(c.key)))))))),
      h('button', {class: 'link', type: 'button', 'data-id': 'all-metrics', 'aria-expanded': String(this.all), onclick: () => { this.all = !this.all; this.draw(); }}, t(this.all ? 'changes.few' : 'changes.all', {n: m.changes.length})));
  }

  spans(m) {
    if (!m.spans.length) return null;
    const list = m.spans.slice(0, this.all ? 64 : 8);
    return h('section', {}, h('h3', {}, t('spans.title')), h('div', {class: 'scroll', tabindex: '0', role: 'group', 'aria-label': t('spans.title')}, h('table', {}, h('thead', {}, h('tr', {}, h('th', {}, t('spans.name')), h('th', {class: 'num'}, t('spans.age')), h('th', {}, t('spans.trace')))),
      h('tbody', {}, ...list.map((s) => h('tr', {}, h('td', {}, s.name), h('td', {class: 'num'}, seconds(Math.max(0, Math.min(s.last, m.to) - s.start) / 1000)), h('td', {}, this.trace(s))))))));
  }

  happened(m) {
    if (!m.events.length) return null;
    return h('section', {}, h('h3', {}, t('events.title')), h('ul', {class: 'events'}, ...m.events.slice(-12).map((e) => h('li', {class: e.level.toLowerCase()}, h('time', {}, clock(e.t)), ' ', h('span', {}, e.text)))));
  }

  evidence(m) {
    const meta = this.app.data.meta;
    if (!meta.captures && !meta.can_capture) return null;
    const near = (this.captures || []).filter((b) => b.t >= m.from - 120e3 && b.t <= m.to + 120e3);
    const list = near.length ? near : (this.captures || []).slice(0, 3);
    return h('section', {}, h('h3', {}, t('captures.title')),
      !near.length ? h('p', {class: 'quiet'}, t(list.length ? 'captures.others' : 'captures.none')) : null,
      ...list.map((b) => h('article', {class: 'bundle'}, h('h4', {}, clock(b.t), ' ', h('span', {class: 'quiet'}, b.reason || b.id)),
        ...b.files.filter((f) => f.name !== 'manifest.json').map((f) => this.file(b, f)))),
      meta.can_capture ? h('button', {class: 'link', type: 'button', 'data-id': 'capture', onclick: () => this.app.capture()}, icon(icons.camera), t('captures.take')) : null);
  }

  file(b, f) {
    const local = `${b.id}-${f.name}`;
    const kind = this.app.data.meta.profiles && f.kind === 'profile' && /^(cpu|heap|goroutine)\.pb/.exec(f.name)?.[1];
    return h('div', {class: 'file'},
      h('div', {class: 'file-line'}, h('code', {}, f.name), h('span', {class: 'quiet'}, value(f.size, 'By')),
        f.kind === 'profile' ? h('button', {class: 'tool tiny', type: 'button', 'data-id': 'flame-' + local, title: t('flame.show'), 'aria-label': t('flame.show') + ' ' + f.name, onclick: () => flameDialog(this.app, {id: b.id, file: f.name}, f.name)}, icon(icons.flame)) : null,
        kind ? this.compare(kind, b.t - 60e3, b.t + 60e3) : null,
        h('a', {class: 'tool tiny', href: fileURL(b.id, f.name), download: local, title: t('download'), 'aria-label': t('download') + ' ' + f.name}, icon(icons.down))),
      f.tool ? command(f.tool + local, this.app.say) : null);
  }
}
