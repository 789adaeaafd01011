// SPDX-License-Identifier: Apache-2.0

// The data of the page: columns over time. load fills them from the history, and each
// sample of the stream adds a row.
import {api} from './net.js';

/** patterns select the columns that the page draws. A "*" matches the rest of a name. */
export const patterns = [
  'go.goroutine.count', 'gmpulse.goroutine.user', 'gmpulse.goroutine.creations', 'gmpulse.scheduler.goroutines.*', 'gmpulse.pulse.*',
  'gmpulse.threads', 'gmpulse.runnable.per_processor', 'go.processor.limit', 'gmpulse.cpu.usable',
  'gmpulse.schedule.duration.*', 'gmpulse.mutex.wait.time', 'gmpulse.tick*', 'gmpulse.host.*', 'gmpulse.repairs',
  'gmpulse.memory.heap_alloc', 'gmpulse.gc.*', 'go.memory.*', 'gmpulse.stw.other.max', 'gmpulse.memory.sys', 'gmpulse.memory.stack_sys',
  'process.*', 'gmpulse.process.*', 'gmpulse.cgroup.*', 'system.cpu.*', 'system.network.io.*', 'gmpulse.system.pressure.*',
  'gmpulse.exporter.*', 'gmpulse.root_span*', 'gmpulse.http_client.*', 'gmpulse.leak*', 'band.*',
];

const matches = (key, list) => list.some((p) => p.endsWith('*') ? key.startsWith(p.slice(0, -1)) : key === p);

/** total and waiting are columns that Data.complete computes. */
export const total = 'page.total', waiting = 'page.waiting';

const keep = 2 * 3600 + 2160; // maximum number of rows

export class Data {
  constructor() {
    this.meta = {resource: {}, metrics: {}, columns: []};
    this.t = []; // ms
    this.columns = new Map(); // name -> values, as long as t; null means absent
    this.directory = [];
    this.own = []; // columns of application gauges
    this.events = [];
    this.episodes = new Map(); // by id
    this.spans = new Map(); // by span id: {name, trace, start, last}
    this.now = {spans: [], episodes: [], surveys: -1};
    this.id = '';
  }

  get last() { return this.t.length ? this.t[this.t.length - 1] : 0; }

  async load() {
    this.meta = await api('meta');
    this.own = Object.entries(this.meta.metrics).filter(([, m]) => m.subsystem === 'user').map(([k]) => k);
    const query = new URLSearchParams();
    for (const p of [...patterns, ...this.own]) query.append('key', p);
    const [history, log, spans] = await Promise.all([api('history?' + query), api('events'), api('spans')]);
    this.t = history.t;
    this.columns = new Map(Object.entries(history.columns));
    this.complete(0);
    this.events = log.events;
    this.episodes = new Map(log.episodes.map((s) => [s.id, s]));
    for (const s of spans.spans) this.spans.set(s.span, s);
    this.id = history.boot + '-' + history.seq;
    this.directory = this.meta.columns;
  }

  /** push adds one sample of the stream. */
  push(frame) {
    if (frame.t <= this.last) return false;
    this.t.push(frame.t);
    const n = this.t.length;
    this.directory.forEach((key, i) => {
      let list = this.columns.get(key);
      if (!list) {
        if (!matches(key, patterns) && !this.own.includes(key)) return;
        list = new Array(n - 1).fill(null);
        this.columns.set(key, list);
      }
      list.push(i < frame.v.length ? frame.v[i] : null);
    });
    for (const list of this.columns.values()) if (list.length < n) list.push(null);
    this.complete(n - 1);
    if (frame.events) this.events.push(...frame.events);
    if (frame.now) this.standing(frame.t, frame.now);
    if (n > keep) this.trim(n - keep + 600);
    return true;
  }

  /**
   * complete computes the total and the waiting goroutines from row i on, so that the
   * states add up to the total. The states that the runtime reports do not: it reads
   * them one after the other and counts its own goroutines as waiting.
   */
  complete(i) {
    for (const key of [total, waiting]) if (!this.columns.has(key)) this.columns.set(key, []);
    const [all, waits] = [total, waiting].map((key) => this.columns.get(key)), user = this.col('gmpulse.goroutine.user');
    const others = ['gmpulse.scheduler.goroutines.running', 'gmpulse.scheduler.goroutines.runnable', 'gmpulse.scheduler.goroutines.not_in_go'].map((key) => this.col(key));
    for (; i < this.t.length; i++) {
      const known = user[i] !== null && user[i] !== undefined;
      const busy = others.reduce((sum, c) => sum + (c[i] ?? 0), 0);
      all[i] = known ? Math.max(user[i], busy) : null;
      waits[i] = known ? all[i] - busy : null;
    }
  }

  standing(t, now) {
    this.now = now;
    for (const s of now.spans || []) {
      const known = this.spans.get(s.span);
      if (known) known.last = t;
      else this.spans.set(s.span, {...s, first: t, last: t});
    }
    const open = new Set(now.episodes.map((s) => s.id));
    for (const s of this.episodes.values()) if (!s.to && !open.has(s.id)) s.to = t;
    for (const s of now.episodes) this.episodes.set(s.id, s);
    if (this.spans.size > 4000) {
      for (const k of [...this.spans.keys()].slice(0, 1000)) this.spans.delete(k);
    }
  }

  trim(n) {
    this.t.splice(0, n);
    for (const list of this.columns.values()) list.splice(0, n);
    this.events = this.events.filter((e) => e.t >= this.t[0]);
  }

  col(key) { return this.columns.get(key) || []; }

  /** at returns the index of the last row that is not later than ms, or -1. */
  at(ms) {
    let lo = 0, hi = this.t.length;
    while (lo < hi) {
      const mid = (lo + hi) >> 1;
      if (this.t[mid] <= ms) lo = mid + 1; else hi = mid;
    }
    return lo - 1;
  }

  value(key, ms) {
    const i = this.at(ms);
    return i < 0 ? null : this.col(key)[i] ?? null;
  }

  metric(key) { return this.meta.metrics[key.split('{')[0]] || {unit: '', kind: 'gauge', subsystem: '', help: ''}; }

  /** series returns [labels, values] for each column of a metric with labels. */
  series(name) {
    const out = [];
    for (const [k, v] of this.columns) {
      if (k.startsWith(name + '{')) out.push([k.slice(name.length + 1, -1), v]);
    }
    return out;
  }

  allEpisodes() { return [...this.episodes.values()].sort((a, b) => a.from - b.from); }
}
