// SPDX-License-Identifier: Apache-2.0

// The data of the timeline as a table, newest row first, 25 rows per page.
import {h} from './dom.js';
import {t} from './i18n.js';
import {count, clock} from './format.js';
import {states} from './hero.js';
import {total} from './data.js';

const page = 25;

export function table(view) {
  const el = h('section', {class: 'card table', hidden: true});
  let first = 0, drawn = 0;

  function update() {
    if (el.hidden) return;
    const {data} = view, [from, to] = view.range();
    const i0 = Math.max(0, data.at(from)), i1 = data.at(to), n = i1 - i0 + 1;
    first = Math.max(0, Math.min(first, n - 1));
    if (drawn && el.contains(document.activeElement) && Date.now() - drawn < 5000) return; // do not replace the focused button
    drawn = Date.now();
    const spans = data.series('gmpulse.root_span.active');
    const rows = [];
    for (let i = i1 - first; i >= i0 && rows.length < page; i--) {
      rows.push(h('tr', {}, h('th', {scope: 'row'}, clock(data.t[i])), h('td', {}, count(data.col(total)[i])),
        ...states.map((s) => h('td', {}, count(data.col(s.key)[i]))), h('td', {}, count(spans.reduce((sum, [, v]) => sum + (v[i] || 0), 0)))));
    }
    const turn = (by, label, off) => h('button', {type: 'button', class: 'link', disabled: off, onclick: () => { first += by; drawn = 0; update(); }}, label);
    el.replaceChildren(h('h2', {}, t('table.title')),
      h('div', {class: 'scroll', tabindex: '0', role: 'group', 'aria-label': t('table.title')}, h('table', {}, h('thead', {}, h('tr', {}, ...[t('table.time'), t('table.total'), ...states.map((s) => t('state.' + s.name)), t('table.spans')].map((x) => h('th', {scope: 'col'}, x)))), h('tbody', {}, ...rows))),
      h('p', {class: 'pages'}, turn(-page, t('table.prev'), first === 0), t('table.page', {from: n ? first + 1 : 0, to: Math.min(n, first + page), n}), turn(page, t('table.next'), first + page >= n)));
  }

  return {
    el, update,
    get shown() { return !el.hidden; },
    toggle() { el.hidden = !el.hidden; drawn = 0; update(); if (!el.hidden) el.scrollIntoView({block: 'nearest'}); },
  };
}
