// SPDX-License-Identifier: Apache-2.0

// Functions that create elements. The content security policy forbids markup in strings.

/** h creates an element: h('button', {class: 'x', onclick: f}, 'text', node). */
export function h(tag, attrs, ...children) {
  const el = document.createElement(tag);
  for (const [k, v] of Object.entries(attrs || {})) {
    if (v === null || v === undefined || v === false) continue;
    if (k.startsWith('on')) el.addEventListener(k.slice(2), v);
    else if (k === 'style') Object.assign(el.style, v);
    else el.setAttribute(k, v === true ? '' : v);
  }
  el.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return el;
}

/** icon creates an SVG element with one path in a 24 × 24 view box. */
export function icon(path) {
  const ns = 'http://www.w3.org/2000/svg';
  const el = document.createElementNS(ns, 'svg');
  el.setAttribute('viewBox', '0 0 24 24');
  el.setAttribute('class', 'icon');
  el.setAttribute('aria-hidden', 'true');
  const p = document.createElementNS(ns, 'path');
  p.setAttribute('d', path);
  el.append(p);
  return el;
}

export const icons = {
  pause: 'M8 5v14M16 5v14',
  play: 'M7 4.5v15l12-7.5z',
  close: 'M6 6l12 12M18 6L6 18',
  link: 'M10 14a4 4 0 0 0 5.7 0l3-3a4 4 0 0 0-5.7-5.7l-1.2 1.2M14 10a4 4 0 0 0-5.7 0l-3 3a4 4 0 0 0 5.7 5.7l1.2-1.2',
  down: 'M12 4v11m-5-5l5 5 5-5M5 20h14',
  copy: 'M9 9h10v11H9zM5 15V4h10',
  help: 'M9 9a3 3 0 1 1 4.5 2.6c-1 .6-1.5 1.2-1.5 2.4M12 17.5v.5',
  prev: 'M15 5l-7 7 7 7',
  next: 'M9 5l7 7-7 7',
  zoom: 'M10.5 4a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13zM15.5 15.5L21 21M10.5 7.5v6M7.5 10.5h6',
  camera: 'M4 8h3l2-3h6l2 3h3v11H4zM12 10a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7z',
  table: 'M4 5h16v14H4zM4 10h16M4 14.5h16M10 5v14',
  flame: 'M12 3c1 4 5 5.5 5 10.5a5 5 0 0 1-10 0C7 11 8.5 10 9 8c1.5 1 2 2 2 3.5C12.5 9 12.5 6 12 3z',
  compare: 'M5 20V9h5v11M14 20V4h5v16M3 20h18',
  out: 'M14 4h6v6M20 4l-9 9M10 5H5v14h14v-5',
  theme: 'M12 4a8 8 0 1 0 0 16z M12 4a8 8 0 0 1 0 16',
};

/** fill returns text as a list in which values, which may be nodes, replace {placeholders}. */
export function fill(text, values) {
  return text.split(/(\{\w+\})/).map((part) => {
    const m = /^\{(\w+)\}$/.exec(part);
    return m ? values[m[1]] ?? '' : part;
  });
}

/** css returns a custom property of the theme, such as a colour. */
export function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
