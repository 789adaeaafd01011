// SPDX-License-Identifier: Apache-2.0

// Profiles: the commands that take them, and the dialog with their flame graphs.
import {h, icon, icons} from './dom.js';
import {t} from './i18n.js';
import {api} from './net.js';
import {clock, span} from './format.js';
import {Flame} from './flame.js';

const copyButton = (text, say) => h('button', {
  class: 'tool tiny', type: 'button', title: t('copy'), 'aria-label': t('copy') + ' ' + text,
  onclick: () => navigator.clipboard?.writeText(text).then(() => say(t('copied')), () => say(text)),
}, icon(icons.copy));

const command = (text, say) => h('div', {class: 'command'}, h('code', {}, text), copyButton(text, say));

const select = (label, options, chosen, on) => h('label', {}, label, ' ', h('select', {onchange: (e) => on(e.target.value)},
  ...options.map(([value, text]) => h('option', {value, selected: value === chosen}, text))));

/** rootSelect chooses a root span of the page, or all: "". */
const rootSelect = (app, chosen, on) => {
  const roots = new Set([...app.data.series('gmpulse.root_span.active').map(([name]) => name), chosen]);
  return select(t('flame.root'), [['', t('flame.allroots')], ...[...roots].filter(Boolean).sort().map((r) => [r, r])], chosen, on);
};

/* ---- commands ---- */

const quote = (text) => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** focus returns the option that selects one root span. The label has 47 bytes; pprof splits expressions at commas. */
function focus(root) {
  const label = new TextDecoder().decode(new TextEncoder().encode(root).slice(0, 47), {stream: true});
  return '-tagfocus=' + quote('gmpulse_root=^' + label.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll(',', '.') + '$') + ' ';
}

/** commands returns [text key, command] for a root span, or for all: "". */
function commands(root) {
  const url = (path) => quote(new URL('pprof/' + path, location.href).href);
  const pprof = (path, options = '') => 'go tool pprof -http=: ' + options + url(path);
  const one = root ? focus(root) : '', by = root ? one : '-tagroot=gmpulse_root ';
  return [
    ['pprof.cpu', pprof('profile?seconds=30', one)],
    root ? null : ['pprof.cpuby', pprof('profile?seconds=30', by)],
    [root ? 'pprof.goroutines' : 'pprof.goroutinesby', pprof('goroutine', by)],
    ['pprof.heap', 'curl -so before.pb.gz ' + url('heap')],
    ['pprof.heapdiff', pprof('heap', '-diff_base=before.pb.gz ')],
    ['pprof.trace', `curl -so trace.out ${url('trace?seconds=5')} && go tool trace trace.out`],
  ].filter(Boolean);
}

/** commandDialog shows the commands that profile this process. */
function commandDialog(app) {
  const list = h('div', {}), show = (root) => list.replaceChildren(...commands(root).map(([key, text]) => h('div', {}, h('h3', {}, t(key)), command(text, app.say))));
  show('');
  const near = /^(localhost|127\.|\[::1\])/.test(location.hostname);
  app.dialog(t('tool.pprof'), h('div', {class: 'pprof'}, h('div', {class: 'flame-choices'}, rootSelect(app, '', show)), list,
    near ? null : h('p', {class: 'quiet'}, t('pprof.token', {address: `${location.protocol}//gmpulse:TOKEN@${location.host}`}))));
}

/* ---- flame graphs ---- */

/**
 * flameDialog shows a profile: a file of a capture {id, file}, a profile of the past
 * {history, from, to}, or else the goroutines now. Those of the past can be compared and, except the heap,
 * narrowed.
 */
async function flameDialog(app, query, title) {
  const choices = h('div', {class: 'flame-choices'}), body = h('div', {class: 'flame-body'}, h('p', {class: 'quiet'}, t('loading')));
  app.dialog(title, h('div', {}, choices, body));
  const kinds = query.history ? await api('profiles').then((p) => p.kinds.filter((k) => k.profiles?.length).map((k) => k.kind), () => [query.history]) : [];
  const show = async (q) => {
    let f = null;
    try {
      f = await api('flame?' + new URLSearchParams(Object.entries(q).filter(([, v]) => v !== '' && v !== undefined)));
      const flame = new Flame(f);
      body.replaceChildren(f.base_total === undefined ? '' : h('p', {class: 'quiet flame-key'}, ...['fell', 'same', 'grew'].map((k) => h('span', {}, h('i', {class: k}), t('flame.' + k))),
        f.base_to > f.base_from ? t('flame.base', {range: span(f.base_from, f.base_to)}) : t('before') + ' ' + clock(f.base_to)), flame.el, flame.table());
      flame.draw();
      flame.canvas.focus({preventScroll: true});
    } catch (e) {
      body.replaceChildren(h('p', {class: 'quiet', role: 'alert'}, t('failed', {error: e.message})));
    }
    const set = (name) => (v) => show({...q, [name]: v});
    choices.replaceChildren(...[
      kinds.length > 1 ? select(t('flame.kind'), kinds.map((k) => [k, t('profile.' + k)]), q.history, (history) => show({...q, history, sample: '', label: '', ...(history === 'heap' ? {root: ''} : {})})) : null,
      query.history && q.history !== 'heap' ? rootSelect(app, q.root || '', set('root')) : null,
      f?.types?.length > 1 ? select(t('flame.type'), f.types.map((k, i) => [String(i), k]), String(f.types.indexOf(f.type)), set('sample')) : null,
      f?.labels?.length ? select(t('flame.by'), [['', '–'], ...f.labels.map((l) => [l, l])], q.label || '', set('label')) : null,
      query.history ? h('label', {}, h('input', {type: 'checkbox', checked: q.base === 'healthy', onchange: (e) => show({...q, base: e.target.checked ? 'healthy' : ''})}), ' ' + t('flame.healthy')) : null,
    ].filter(Boolean));
  };
  await show(query);
}

export {copyButton, command, commandDialog, flameDialog};
