// SPDX-License-Identifier: Apache-2.0

// The CPU time by root span in the selected time, or else in the range shown.
import {h, icon, icons} from './dom.js';
import {t} from './i18n.js';
import {api} from './net.js';
import {count, seconds, span} from './format.js';
import {flameDialog} from './profiles.js';

const fresh = 10e3; // ms

const percent = (v) => (v * 100).toFixed(v < 0.0995 ? 1 : 0) + ' %';

export class CPU {
  constructor(view, app) {
    this.view = view;
    this.app = app;
    this.el = h('section', {class: 'card cpu', hidden: true});
    this.key = '';
    this.at = 0;
    this.busy = false;
  }

  /** update loads the table again if the range has changed or the table is old. */
  async update() {
    this.el.hidden = !this.view.data.meta.cpu || !this.view.data.last;
    if (this.el.hidden || this.busy) return;
    const fixed = this.view.selection ?? this.view.fixed, range = (fixed ?? this.view.range()).map(Math.round);
    const key = String(fixed ?? this.view.width);
    if (key === this.key && Date.now() - this.at < fresh) return;
    this.busy = true;
    try {
      const c = await api('cpu?' + new URLSearchParams({from: range[0], to: range[1]}));
      this.draw(c, range);
    } catch (e) {
      this.el.replaceChildren(h('h2', {}, t('cpu.title')), h('p', {class: 'quiet'}, t('failed', {error: e.message})));
    }
    this.key = key;
    this.at = Date.now();
    this.busy = false;
  }

  /** again makes the next update load and draw the table. */
  again() { this.at = 0; }

  draw(c, [from, to]) {
    const focus = document.activeElement?.dataset?.cpu;
    const total = c.total_seconds || c.roots.reduce((n, r) => n + r.seconds, c.unowned_seconds + c.runtime_seconds);
    const flame = (root) => () => flameDialog(this.app, {history: 'cpu', from, to, root}, root || t('cpu.title'));
    const row = (name, s, more, error, samples) => h('tr', {}, h('td', {}, name, more ? h('span', {class: 'quiet'}, ' ' + more) : ''),
      h('td', {class: 'num'}, seconds(s)), h('td', {class: 'num quiet'}, error === undefined ? '' : '± ' + seconds(error)),
      h('td', {class: 'num'}, total ? percent(s / total) : '–'), h('td', {}, h('span', {class: 'share'}, h('i', {style: {width: (total ? Math.min(1, s / total) : 0) * 100 + '%'}}))),
      h('td', {class: 'num quiet'}, samples === undefined ? '' : count(samples)));
    const open = (root, text) => h('button', {type: 'button', class: 'link', 'data-cpu': root, title: t('cpu.flame', {root: text}), onclick: flame(root)}, text);
    this.el.replaceChildren(
      h('h2', {}, t('cpu.title'), ' ', h('span', {class: 'when'}, span(from, to))),
      h('p', {class: 'quiet'}, c.profiles ? t('cpu.note', {n: c.profiles, d: seconds(c.profile_seconds), every: seconds(c.every_seconds), share: percent(total ? c.observed_seconds / total : 0)}) : t('cpu.none', {every: seconds(c.every_seconds)}),
        c.missed ? ' ' + t('cpu.missed', {n: c.missed}) : ''),
      !c.profiles ? '' : h('div', {class: 'scroll', tabindex: '0', role: 'group', 'aria-label': t('cpu.title')}, h('table', {},
        h('thead', {}, h('tr', {}, h('th', {}, t('spans.name')), h('th', {class: 'num'}, t('cpu.time')), h('th', {class: 'num'}, t('cpu.error')), h('th', {class: 'num'}, t('cpu.share')), h('td', {}), h('th', {class: 'num'}, t('cpu.samples')))),
        h('tbody', {}, ...[...c.roots].sort((a, b) => b.seconds - a.seconds).map((r) => row(r.root === 'other' ? t('cpu.other') : open(r.root, r.root), r.seconds, '', r.error, r.samples)),
          row(t('cpu.unowned'), c.unowned_seconds, c.agent_seconds ? t('cpu.agent', {d: seconds(c.agent_seconds)}) : ''), row(t('cpu.runtime'), c.runtime_seconds)))),
      !c.profiles ? '' : h('button', {type: 'button', class: 'link', 'data-cpu': '', onclick: flame('')}, icon(icons.flame), t('cpu.all')));
    if (focus !== undefined) this.el.querySelector(`[data-cpu="${CSS.escape(focus)}"]`)?.focus({preventScroll: true});
  }
}
