// SPDX-License-Identifier: Apache-2.0

// Access to the API. Addresses are relative to the page.

/** api fetches JSON from a route of api/v1/. */
export async function api(path, options) {
  const r = await fetch('api/v1/' + path, {cache: 'no-store', ...options});
  const body = await r.json().catch(() => ({error: r.statusText}));
  if (!r.ok) throw Object.assign(new Error(body.error || r.statusText), {status: r.status});
  return body;
}

export const fileURL = (id, file) => 'api/v1/capture?' + new URLSearchParams({id, file});

// boot returns the part of a row's id that identifies the process.
const boot = (id) => id.split('-')[0];

/**
 * Feed receives samples from a stream, or polls every two seconds if the server cannot
 * stream. It stops while the tab is hidden, because browsers open only six connections
 * to a host.
 */
export class Feed {
  constructor(data, on) {
    this.data = data;
    this.on = on; // {sample, state, reset}
    this.source = null;
    this.timer = 0;
    this.polling = false;
    document.addEventListener('visibilitychange', () => document.hidden ? this.stop() : this.start());
    addEventListener('pagehide', () => this.stop());
  }

  start() {
    if (this.source || this.timer || document.hidden) return;
    if (this.polling) { this.poll(); return; }
    this.stream();
  }

  stop() {
    if (this.source) this.source.close();
    this.source = null;
    clearTimeout(this.timer);
    this.timer = 0;
  }

  stream() {
    const s = new EventSource('api/v1/stream?' + new URLSearchParams({after: this.data.id}));
    this.source = s;
    s.onopen = () => this.on.state('live');
    s.addEventListener('columns', (e) => { this.data.directory = JSON.parse(e.data); });
    s.addEventListener('reset', () => { this.stop(); this.on.reset(); });
    s.addEventListener('bye', () => { this.stop(); this.on.state('ended'); this.later(5000); });
    s.onmessage = (e) => {
      if (this.data.id && boot(e.lastEventId) !== boot(this.data.id)) { this.stop(); this.on.reset(); return; }
      this.data.id = e.lastEventId;
      if (this.data.push(JSON.parse(e.data))) this.on.sample();
    };
    s.onerror = () => {
      const closed = s.readyState === EventSource.CLOSED; // the server answered with an error, such as 501 or 503
      this.on.state('lost');
      if (closed) { this.stop(); this.polling = true; this.poll(); }
    };
  }

  later(ms) {
    this.timer = setTimeout(() => { this.timer = 0; this.polling ? this.poll() : this.stream(); }, ms);
  }

  async poll() {
    this.timer = -1;
    try {
      const r = await api('samples?' + new URLSearchParams({after: this.data.id}));
      if (!this.timer) return; // stop was called meanwhile
      this.timer = 0;
      if (r.reset || boot(this.data.id) !== boot(r.id)) { this.on.reset(); return; }
      this.data.directory = r.columns;
      for (const s of r.samples) this.data.push(s.data);
      this.data.id = r.id;
      this.on.state('polling');
      if (r.samples.length) this.on.sample();
    } catch {
      this.timer = 0;
      this.on.state('lost');
    }
    this.later(2000);
  }
}
