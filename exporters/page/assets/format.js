// SPDX-License-Identifier: Apache-2.0

// Formatting of numbers and times by unit and language.
import {lang} from './i18n.js';

const short = (v, digits = 3) => {
  const a = Math.abs(v);
  if (a === 0) return '0';
  if (a >= 100 || Number.isInteger(v) && a >= 1) return String(Math.round(v));
  return String(Number(v.toPrecision(digits)));
};

/** count formats a number without a unit; whole numbers below 100,000 in full. */
export function count(v) {
  if (v === null || v === undefined || Number.isNaN(v)) return '–';
  const a = Math.abs(v);
  if (a >= 1e9) return short(v / 1e9) + 'G';
  if (a >= 1e6) return short(v / 1e6) + 'M';
  if (a >= 1e5) return short(v / 1e3) + 'k';
  if (a >= 1000) return new Intl.NumberFormat(lang()).format(Math.round(v));
  return short(v);
}

export function bytes(v) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  while (Math.abs(v) >= 1024 && i < units.length - 1) { v /= 1024; i++; }
  return short(v) + ' ' + units[i];
}

export function seconds(v) {
  const a = Math.abs(v);
  if (a === 0) return '0 s';
  if (a < 1e-6) return short(v * 1e9) + ' ns';
  if (a < 1e-3) return short(v * 1e6) + ' µs';
  if (a < 1) return short(v * 1e3) + ' ms';
  if (a < 120) return short(v) + ' s';
  if (a < 7200) return short(v / 60) + ' min';
  if (a < 172800) return short(v / 3600) + ' h';
  return short(v / 86400) + ' d';
}

/** value formats a number with a UCUM unit. With rate, it is a rate per second. */
export function value(v, unit, rate) {
  if (v === null || v === undefined || Number.isNaN(v)) return '–';
  if (unit === '1') return short(v * 100) + ' %';
  let text;
  if (unit === 'By') text = bytes(v);
  else if (unit === 's') text = seconds(v);
  else if (unit === '%') text = short(v) + ' %';
  else text = count(v);
  return rate ? text + '/s' : text;
}

const two = (n) => String(n).padStart(2, '0');

/** clock formats a time of day, with the date unless it is today's. */
export function clock(ms, precise) {
  const d = new Date(ms);
  let s = two(d.getHours()) + ':' + two(d.getMinutes()) + ':' + two(d.getSeconds());
  if (precise) s += '.' + String(d.getMilliseconds()).padStart(3, '0');
  if (d.toDateString() !== new Date().toDateString()) {
    s = (d.getMonth() + 1) + '/' + d.getDate() + ' ' + s;
  }
  return s;
}

export function span(from, to) {
  return clock(from) + ' – ' + clock(to);
}

/** func shortens the name of a function: it removes the path of the package and type arguments, and decodes the linker's escapes. */
export function func(name) {
  let plain = '', depth = 0;
  for (const c of name) {
    if (c === '[' && !depth++) plain += '[…]';
    else if (c === '[') continue;
    else if (c === ']' && depth) depth--;
    else if (!depth) plain += c;
  }
  return plain.slice(plain.lastIndexOf('/') + 1).replace(/%[0-9a-f]{2}/gi, (code) => String.fromCharCode(parseInt(code.slice(1), 16))) || 'unknown';
}

export const file = (path) => path.slice(path.lastIndexOf('/') + 1);
