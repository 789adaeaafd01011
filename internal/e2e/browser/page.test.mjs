// SPDX-License-Identifier: Apache-2.0

// Tests of the live page in Chromium, which ../page_test.go runs. CALM is the address of an
// agent with a capture and without verdicts, LEAK is the address of examples/explosion.
import {test, before, after} from 'node:test';
import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {execFileSync} from 'node:child_process';
import {chromium} from 'playwright-core';

const {CALM, LEAK, CHROMIUM, SHOTS} = process.env;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
let browser;
before(async () => { browser = await chromium.launch({executablePath: CHROMIUM}); });
after(() => browser.close());

/**
 * open loads the page and fails the test for any error or warning on the console.
 * prepare(page) runs before the page is loaded; messages that match ignore are expected.
 */
async function open(t, url, {prepare, ignore, state = 'live', ...options} = {}) {
  const context = await browser.newContext({viewport: {width: 1440, height: 900}, locale: 'en-US', ...options});
  const page = await context.newPage();
  const complaints = [], requests = [];
  page.on('console', (m) => { if (m.type() !== 'log' && !ignore?.test(m.text())) complaints.push(`${m.type()}: ${m.text()}`); });
  page.on('pageerror', (e) => complaints.push(String(e)));
  page.on('request', (r) => requests.push(r.url()));
  t.after(async () => {
    await page.evaluate(() => {}); // what the page has logged so far has arrived
    const found = [...complaints];
    // From here on, requests with a replaced answer reach the server, which may answer 404: the page still renews its tables.
    await page.unrouteAll({behavior: 'ignoreErrors'});
    await context.close();
    assert.deepEqual(found, [], 'the console');
  });
  await prepare?.(page);
  const response = await page.goto(url);
  await page.waitForSelector(`.state.${state}, .state.paused`, {timeout: 20e3});
  await page.waitForSelector('.hero canvas');
  return {page, requests, response};
}

const meta = async (url) => (await fetch(url + 'api/v1/meta')).json();

/** until polls until ask returns a true value, and returns it. */
async function until(what, ask, limit = 20e3) {
  const end = Date.now() + limit;
  for (;;) {
    const v = await ask();
    if (v) return v;
    if (Date.now() > end) assert.fail(`not within ${limit / 1000} s: ${what}`);
    await new Promise((r) => setTimeout(r, 100));
  }
}

test('loads under its content security policy and sends requests only to its own server', async (t) => {
  const {page, requests, response} = await open(t, CALM);
  const policy = response.headers()['content-security-policy'];
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /require-trusted-types-for 'script'/);
  assert.doesNotMatch(policy, /unsafe/);
  await page.waitForSelector('figure.small canvas');
  for (const r of requests) assert.ok(r.startsWith(CALM), r);
  assert.ok(requests.some((r) => r.includes('api/v1/stream')), 'the stream');
  assert.match(await page.locator('#verdict').innerText(), /goroutines/);
  const sections = await page.locator('details.section').count();
  assert.ok(sections >= 6, `${sections} sections`);
});

test('the main chart changes with new samples', async (t) => {
  const {page} = await open(t, CALM);
  const picture = () => page.evaluate(() => document.querySelector('.hero .plot canvas').toDataURL());
  const first = await picture();
  await until('another picture', async () => (await picture()) !== first, 10e3);
  const colours = await page.evaluate(() => {
    const c = document.querySelector('.hero .plot canvas'), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, seen = new Set();
    for (let i = 0; i < d.length; i += 4) if (d[i + 3]) seen.add((d[i] << 16) | (d[i + 1] << 8) | d[i + 2]);
    return seen.size;
  });
  assert.ok(colours > 20, `${colours} colours drawn`);
});

test('a hidden tab closes the stream, and resumes it without a gap when it is shown', async (t) => {
  const {page} = await open(t, CALM);
  const viewers = async () => (await meta(CALM)).viewers;
  await until('the pages of other tests have closed their streams', async () => (await viewers()) === 1);
  await page.evaluate(() => {
    Object.defineProperty(document, 'hidden', {configurable: true, get: () => true});
    document.dispatchEvent(new Event('visibilitychange'));
  });
  await until('the hidden tab has closed its stream', async () => (await viewers()) === 0);
  await new Promise((r) => setTimeout(r, 2500));
  await page.evaluate(() => {
    Object.defineProperty(document, 'hidden', {configurable: true, get: () => false});
    document.dispatchEvent(new Event('visibilitychange'));
  });
  await until('the shown tab has opened its stream', async () => (await viewers()) === 1);
  await page.keyboard.press('t');
  await page.waitForSelector('.card.table tbody tr:nth-child(4)');
  const times = await page.locator('.card.table tbody th').allInnerTexts();
  const at = times.map((x) => x.split(':').reduce((n, p) => n * 60 + Number(p), 0));
  for (let i = 1; i < at.length; i++) assert.ok(at[i - 1] - at[i] <= 2, `a gap between ${times[i]} and ${times[i - 1]}`);
});

test('a click on a leak shows its line and its root span', async (t) => {
  const {page} = await open(t, LEAK);
  await until('the verdict', async () => {
    const g = await (await fetch(LEAK + 'api/v1/goroutines')).json();
    return g.verdicts.some((v) => v.verdict.kind.startsWith('leak'));
  }, 280e3);
  const verdict = Date.now();
  await page.waitForSelector('#verdict[data-level=alarm]');
  const box = await page.locator('.hero .plot .over').first().boundingBox();
  await page.mouse.click(box.x + box.width - 12, box.y + box.height / 2);
  const answer = page.locator('.moment .answer.alarm').first();
  await answer.waitFor();
  const text = await answer.innerText();
  const took = Date.now() - verdict;
  assert.match(text, /main\.unreadChannel\.func1/);
  assert.match(text, /kinds\.go:\d+/);
  assert.match(text, /GET \/checkout/);
  assert.match(text, /chan send/);
  assert.ok(took < 5000, `${took} ms after the verdict`);
  assert.match(await page.locator('#verdict').innerText(), /kinds\.go:\d+.*GET \/checkout/s);
  const trace = await answer.locator('.trace code').first().getAttribute('title');
  assert.match(trace, /^[0-9a-f]{32}$/);
  const grew = await page.locator('.moment .groups tbody tr').first().innerText();
  assert.match(grew, /\+\d+/);
  if (SHOTS) await page.screenshot({path: SHOTS + '/leak.png'});
});

test('the flame graph of a captured profile can be read and navigated', async (t) => {
  const {page} = await open(t, CALM);
  await page.keyboard.press('Enter');
  await page.waitForSelector('.moment .bundle');
  assert.match(await page.locator('.moment').innerText(), /go tool pprof -http=: .*goroutine\.pb\.gz/);
  await page.locator('.moment .bundle button[aria-label^="Flame graph goroutine.pb.gz"]').first().click();
  await page.waitForSelector('dialog canvas.flame');
  const colours = () => page.evaluate(() => {
    const c = document.querySelector('canvas.flame'), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, seen = new Set();
    for (let i = 0; i < d.length; i += 4) if (d[i + 3]) seen.add((d[i] << 16) | (d[i + 1] << 8) | d[i + 2]);
    return seen.size;
  });
  await until('frames are drawn', async () => (await colours()) > 5);
  const depth = await page.evaluate(() => document.querySelector('canvas.flame').clientHeight);
  assert.ok(depth > 80, `${depth} pixels high`);
  await page.locator('dialog details summary').click();
  assert.match(await page.locator('dialog table').innerText(), /runtime\.gopark/);
  await page.locator('canvas.flame').focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  const note = await page.locator('.flame-note').innerText();
  assert.doesNotMatch(note, /^all/);
  await page.keyboard.press('Enter');
  await page.keyboard.press('Backspace');
  if (SHOTS) await page.screenshot({path: SHOTS + '/flame.png'});
});

test('a capture is taken from the page', async (t) => {
  const {page} = await open(t, CALM);
  await page.locator('button[aria-label="Take a capture now"]').first().click();
  await until('it says so', async () => /Captured: /.test(await page.locator('#announce').innerText()));
});

test('the page is shown in Chinese', async (t) => {
  const {page} = await open(t, CALM, {locale: 'zh-CN'});
  assert.equal(await page.evaluate(() => document.documentElement.lang), 'zh-CN');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.moment section');
  const text = await page.locator('body').innerText();
  for (const word of ['调度器', '内存', '垃圾回收', '阻塞等待', '这一刻', '进行中的请求']) assert.ok(text.includes(word), word);
  assert.doesNotMatch(text, /\b(card|line|section|state|verdict|answer|moment|groups)\.[a-z]/, 'a key without a text');
  await page.getByRole('button', {name: 'English'}).click();
  assert.match(await page.locator('body').innerText(), /Scheduler/);
  assert.match(page.url(), /lang=en/);
});

test('the theme follows the system and can be changed', async (t) => {
  const {page} = await open(t, CALM, {colorScheme: 'dark'});
  const light = () => page.evaluate(() => {
    const [r, g, b] = getComputedStyle(document.documentElement).backgroundColor.match(/\d+/g).map(Number);
    return (r + g + b) / 765;
  });
  assert.ok(await light() < 0.15);
  await page.evaluate(() => { location.hash = 'x'; });
  const theme = page.getByRole('button', {name: 'Light, dark or as the system'});
  await theme.click();
  assert.ok(await light() > 0.9, 'light as chosen');
  await theme.click();
  assert.ok(await light() < 0.15, 'dark as chosen');
});

test('the keyboard operates the whole page', async (t) => {
  const {page} = await open(t, CALM);
  const focus = () => page.evaluate(() => document.activeElement.getAttribute('role') || document.activeElement.tagName.toLowerCase());
  for (let i = 0; i < 30 && await focus() !== 'slider'; i++) await page.keyboard.press('Tab');
  assert.equal(await focus(), 'slider');
  const value = () => page.evaluate(() => document.querySelector('[role=slider]').getAttribute('aria-valuetext'));
  await page.keyboard.press('ArrowLeft');
  const first = await until('it is read', value);
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press('ArrowLeft');
  await until('the cursor moves', async () => (await value()) !== first);
  assert.match(await value(), /\d+:\d+:\d+: [\d,]+ goroutines/);
  await page.keyboard.press('Enter');
  await page.waitForSelector('.moment:not([hidden]) h2');
  await until('the moment has the focus', () => page.evaluate(() => document.activeElement.id === 'moment'));
  await page.keyboard.press('Escape');
  await page.waitForSelector('.moment[hidden]', {state: 'attached'});
  assert.equal(await focus(), 'slider');
  await page.keyboard.press('Space');
  await page.waitForSelector('.state.paused');
  await page.keyboard.press('Space');
  await page.waitForSelector('.state.live');
  await page.keyboard.press('?');
  await page.waitForSelector('dialog[open] kbd');
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog:not([open])', {state: 'attached'});
  await page.keyboard.press('+');
  await page.getByRole('button', {name: 'Back to now (0)'}).waitFor();
  await page.keyboard.press('0');
  await until('back to now', async () => !(await page.getByRole('button', {name: 'Back to now (0)'}).count()));
});

test('a drag selects a range, and the link restores it', async (t) => {
  const {page} = await open(t, CALM);
  const box = await page.locator('.hero .plot .over').first().boundingBox();
  await page.mouse.move(box.x + box.width * 0.6, box.y + 60);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.7, box.y + 60, {steps: 4});
  await page.mouse.move(box.x + box.width * 0.9, box.y + 60, {steps: 4});
  await page.mouse.up();
  await page.waitForSelector('.moment .changes, .moment .answer');
  await page.keyboard.press('l');
  assert.match(page.url(), /moment=\d+-\d+/);
  const range = await page.locator('.moment-head .quiet').innerText();
  const again = await open(t, page.url());
  await again.page.waitForSelector('.moment .changes, .moment .answer');
  assert.equal(await again.page.locator('.moment-head .quiet').innerText(), range);
  const zip = await page.request.get(CALM + await page.locator('.moment a[download]').first().getAttribute('href'));
  assert.equal(zip.headers()['content-type'], 'application/zip');
});

test('a copied command profiles one root span', async (t) => {
  const {page} = await open(t, LEAK, {permissions: ['clipboard-read', 'clipboard-write']});
  await until('requests', async () => (await page.locator('.lanes .lane-label').count()) > 0);
  await page.getByRole('button', {name: 'Commands for go tool pprof'}).click();
  const commands = page.locator('dialog .command code');
  assert.match(await commands.first().innerText(), /^go tool pprof -http=: 'http:\/\/127\.0\.0\.1:\d+\/debug\/gmpulse\/pprof\/profile\?seconds=30'$/);
  for (const word of ['-tagroot=gmpulse_root', '-diff_base=before.pb.gz', 'go tool trace']) assert.ok((await commands.allInnerTexts()).some((c) => c.includes(word)), word);
  await page.locator('dialog select').selectOption('GET /checkout');
  await page.locator('dialog .command').filter({hasText: 'pprof/goroutine'}).getByRole('button').click();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  const top = execFileSync('sh', ['-c', copied.replace('-http=:', '-top')], {encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore']});
  assert.match(top, /tagfocus=gmpulse_root=\^GET \/checkout\$/);
  assert.match(top, /main\.unreadChannel/);
  if (SHOTS) await page.screenshot({path: SHOTS + '/commands.png'});
});

/** withProfiles replaces the answers on profiles of the past: those of this process have no known values. */
const withProfiles = (asked = []) => async (page) => {
  const f = (n, v, b, c = []) => ({n, v: v * 1e7, b: b * 1e7, c});
  const difference = {
    type: 'cpu', unit: 'nanoseconds', types: ['samples', 'cpu'], total: 1000e7, base_total: 800e7, base_from: 1, base_to: Date.now() - 4e5,
    names: ['all', 'main.grew', 'main.shrank', 'main.same', 'main.appeared', 'main.vanished'],
    tree: f(0, 1000, 800, [f(1, 600, 300), f(2, 150, 250), f(3, 200, 200), f(4, 50, 0), f(5, 0, 50)]),
  };
  const answers = {
    meta: async (route) => { const response = await route.fetch(); await route.fulfill({response, json: {...await response.json(), cpu: true, profiles: true}}); },
    cpu: (route, q) => route.fulfill({json: {every_seconds: 30, profile_seconds: 1, from: q.from, to: q.to, profiles: 10, missed: 2, total_seconds: 20, observed_seconds: 0.7,
      roots: [{root: 'GET /cart', seconds: 6, error: 0.5, samples: 21}, {root: 'POST /pay', seconds: 10, error: 0.25, samples: 35}, {root: 'other', seconds: 0.5, error: 0.1, samples: 2}],
      unowned_seconds: 1.5, agent_seconds: 0.1, runtime_seconds: 2}}),
    profiles: (route) => route.fulfill({json: {kinds: ['cpu', 'heap', 'goroutine'].map((kind) => ({kind, profiles: [{from: 1, to: 2, bytes: 3}]})), bytes: 1, max_bytes: 2}}),
    flame: (route, q) => {
      if (q.root === 'POST /pay' && q.base) return route.fulfill({status: 404, json: {error: 'no healthy hour before'}});
      const {base_total, base_from, base_to, ...plain} = difference;
      return route.fulfill({json: q.base ? difference : plain});
    },
  };
  for (const [path, answer] of Object.entries(answers)) {
    await page.route(new RegExp(`/api/v1/${path}(\\?|$)`), (route) => {
      const q = Object.fromEntries(new URL(route.request().url()).searchParams);
      if (path === 'flame' && !q.history) return route.continue();
      asked.push({path, ...q});
      return answer(route, q);
    });
  }
};

test('CPU by root span: a table, and a flame graph of one root span', async (t) => {
  const asked = [], {page, requests} = await open(t, CALM, {prepare: withProfiles(asked)});
  const rows = page.locator('.cpu tbody tr');
  await rows.first().waitFor();
  const text = (await rows.allInnerTexts()).map((r) => r.replace(/\s+/g, ' ').trim());
  assert.match(text[0], /^POST \/pay 10 s ± 250 ms 50 % 35$/, 'the most first');
  assert.match(text[1], /^GET \/cart 6 s ± 500 ms 30 % 21$/);
  assert.match(text[2], /^other root spans 500 ms/);
  assert.match(text[3], /^no span \(100 ms of it gmpulse\) 1\.5 s 7\.5 %$/);
  assert.match(text[4], /^Go runtime: GC, scheduler 2 s 10 %$/);
  assert.match(await page.locator('.cpu').innerText(), /10 profiles of 1 s, one every 30 s, which cover 3\.5 % .*2 were missed/s);
  await page.locator('[role=slider]').focus();
  await page.keyboard.press('Enter');
  await page.waitForSelector('.moment section');
  const {from, to} = Object.fromEntries(new URL(requests.findLast((r) => r.includes('api/v1/moment?'))).searchParams);
  await until('the table has the selected time', () => asked.some((a) => a.path === 'cpu' && a.from === from && a.to === to));
  await page.locator('.cpu').getByRole('button', {name: 'GET /cart'}).click();
  await page.waitForSelector('dialog canvas.flame');
  const flame = asked.findLast((a) => a.path === 'flame');
  assert.deepEqual([flame.history, flame.root, flame.base], ['cpu', 'GET /cart', undefined]);
  assert.deepEqual([flame.from, flame.to], [from, to], 'the selected time');
  await page.locator('dialog').getByLabel('Root span').selectOption('');
  await until('the whole process', () => asked.findLast((a) => a.path === 'flame').root === undefined);
  await page.locator('dialog').getByLabel('Profile').selectOption('heap');
  await until('the heap', () => asked.findLast((a) => a.path === 'flame').history === 'heap');
});

test('without profiles in a duty cycle there is no table, and without pprof/ no commands', async (t) => {
  const prepare = (page) => page.route('**/api/v1/meta', async (route) => { const response = await route.fetch(); await route.fulfill({response, json: {...await response.json(), cpu: false, pprof: false, profiles: false}}); });
  const {page, requests} = await open(t, CALM, {prepare});
  await page.waitForSelector('figure.small canvas');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.moment section');
  assert.equal(await page.locator('.cpu:visible, .compare').count(), 0);
  assert.equal(await page.getByRole('button', {name: 'Commands for go tool pprof'}).count(), 0);
  assert.ok(!requests.some((r) => /api\/v1\/(cpu|profiles)/.test(r)), 'no request for what is off');
});

for (const [name, options] of Object.entries({'light': {}, 'dark, Chinese': {colorScheme: 'dark', locale: 'zh-CN'}, 'narrow': {viewport: {width: 390, height: 844}}})) {
  test(`a difference of profiles shows what grew and shrank: ${name}`, async (t) => {
    const asked = [], {page} = await open(t, CALM, {prepare: withProfiles(asked), ignore: /willReadFrequently/, ...options});
    await page.keyboard.press('Enter');
    await page.locator('.moment .compare button').first().click();
    await page.waitForSelector('dialog .flame-key');
    const query = asked.findLast((a) => a.path === 'flame');
    assert.deepEqual([query.history, query.base], ['cpu', 'healthy']);
    // The colour in the middle of a frame's bottom line, where no text is. row is from the top, x a part of the width.
    const colour = (row, x) => page.evaluate(([row, x]) => {
      const c = document.querySelector('canvas.flame'), scale = devicePixelRatio;
      return [...c.getContext('2d').getImageData(Math.round(x * c.width), Math.round((row * 20 + 17) * scale), 1, 1).data].slice(0, 3);
    }, [row, x]);
    const [grew, shrank, same, appeared] = [await colour(1, 0.3), await colour(1, 0.68), await colour(1, 0.85), await colour(1, 0.97)];
    assert.ok(grew[0] > grew[2] + 60, `grew: ${grew}`);
    assert.ok(shrank[2] > shrank[0] + 60, `shrank: ${shrank}`);
    assert.ok(Math.max(...same) - Math.min(...same) < 20, `same: ${same}`);
    assert.ok(appeared[0] > appeared[2] + 20 && appeared[2] > grew[2] + 10, `appeared, a smaller change: ${appeared}`);
    await page.locator('canvas.flame').focus();
    await page.keyboard.press('ArrowDown');
    assert.match(await page.locator('.flame-note').innerText(), /^main\.grew 3 s → 6 s · 60\.0 % · \+100 %$/);
    await page.locator('dialog summary').click();
    const rows = (await page.locator('dialog table tbody tr').allInnerTexts()).map((r) => r.replace(/\s+/g, ' '));
    assert.deepEqual(rows.slice(0, 2), ['main.grew 3 s 6 s +3 s +100 %', 'main.shrank 2.5 s 1.5 s −1 s −40 %']);
    assert.ok(rows.some((r) => /^main\.vanished 500 ms 0 s −500 ms −100 %$/.test(r)), rows.join('; '));
    assert.deepEqual(await tooWide(page), []);
    if (SHOTS) await page.screenshot({path: `${SHOTS}/difference-${name.replace(/\W+/g, '-')}.png`});
    await page.evaluate(axe);
    assert.deepEqual(await page.evaluate(async () => (await window.axe.run(document)).violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 160)).slice(0, 3).join(' | ')}`)), []);
    const before = page.locator('.flame-box input[type=checkbox]');
    await before.check(); // now the vanished function has a width: the last 50 of 800
    await until('the vanished function', async () => { const [r, , b] = await colour(1, 0.97); return b > r + 20; });
  });
}

test('a difference that cannot be shown says why, and the choices remain', async (t) => {
  const {page} = await open(t, CALM, {prepare: withProfiles(), ignore: /404/});
  await page.locator('.cpu').getByRole('button', {name: 'POST /pay'}).click();
  await page.waitForSelector('dialog canvas.flame');
  await page.locator('dialog').getByLabel('Compared with the last healthy hour').check();
  await page.getByText('no healthy hour before').waitFor();
  await page.locator('dialog').getByLabel('Compared with the last healthy hour').uncheck();
  await page.waitForSelector('dialog canvas.flame');
});

for (const [name, options] of Object.entries({
  'light, English': {}, 'dark, Chinese': {colorScheme: 'dark', locale: 'zh-CN'}, 'narrow': {viewport: {width: 390, height: 844}},
})) {
  test(`axe finds nothing: ${name}`, async (t) => {
    for (const url of [CALM, LEAK]) {
      const {page} = await open(t, url, options);
      await page.evaluate(axe); // through the debugger, to which the policy does not apply
      const check = async (what) => {
        const found = await page.evaluate(async () => (await window.axe.run(document)).violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => n.html.slice(0, 160) + ' ' + (n.any[0]?.message ?? '')).slice(0, 3).join(' | ')}`));
        assert.deepEqual(found, [], `${what} of ${url}`);
      };
      await page.waitForSelector('figure.small canvas');
      await page.evaluate(() => { // the colours of every level, whichever the top line has now
        const line = document.querySelector('#verdict');
        for (const level of ['alarm', 'warn']) {
          const copy = line.cloneNode(false), kind = document.createElement('b');
          copy.id = '';
          copy.dataset.level = level;
          kind.className = 'kind';
          kind.textContent = level;
          copy.append(kind);
          line.after(copy);
        }
      });
      await check('the page');
      await page.keyboard.press('t');
      await page.keyboard.press('Enter');
      await page.waitForSelector('.moment section');
      await check('the moment');
      await page.keyboard.press('?');
      await page.waitForSelector('dialog[open]');
      await check('the help');
      await page.keyboard.press('Escape');
      await page.evaluate(() => document.querySelector('main').append(document.createElement('img')));
      await assert.rejects(check('an image without alternative text'), /image-alt/); // the check itself works
      await page.evaluate(() => document.querySelector('main > img').remove());
      if (SHOTS) await page.screenshot({path: `${SHOTS}/${name.replace(/\W+/g, '-')}-${url === LEAK ? 'leak' : 'calm'}.png`});
    }
  });
}

test('the states add up to the total, also over time', async (t) => {
  const {page} = await open(t, LEAK);
  await until('some samples', () => page.evaluate(async () => (await (await fetch('api/v1/meta')).json()).seq > 5));
  const number = (s) => Number(s.replace(/[^0-9]/g, ''));
  for (let i = 0; i < 3; i++) {
    const shown = await page.evaluate(() => [document.querySelector('.hero .legend .big').textContent,
      ...[...document.querySelectorAll('.hero .legend .key')].filter((k) => k.querySelector('.swatch:not(.band)')).map((k) => k.querySelector('b').textContent)]);
    const [total, ...parts] = shown.map(number);
    assert.equal(parts.length, 4);
    assert.equal(parts.reduce((a, b) => a + b), total, shown.join(' '));
    await page.waitForTimeout(1100);
  }
});

test('the uptime advances', async (t) => {
  const {page} = await open(t, CALM);
  const up = () => page.locator('#up').innerText();
  const first = await up();
  assert.match(first, /^up \d/);
  await until('a later uptime', async () => (await up()) !== first, 70e3);
});

test('requests shorter than the interval of samples are shown', async (t) => {
  const {page} = await open(t, LEAK);
  const label = page.locator('.lanes .lane-label').first();
  await until('what starts and ends', async () => /^start\/end \/s\s*\d+\/\d+$/.test((await label.innerText()).replaceAll('\n', ' ')));
});

/**
 * drawn replaces the history by two minutes of columns(row) and the episodes, keeps later samples away,
 * and collects the charts of the page in window.charts.
 */
const drawn = (columns, episodes = []) => async (page) => {
  const n = 120, now = Date.now();
  await page.addInitScript(() => {
    let real;
    window.charts = [];
    Object.defineProperty(window, 'uPlot', {
      get: () => real,
      set: (v) => { real = Object.assign(function (...args) { const u = new v(...args); window.charts.push(u); return u; }, v); },
    });
  });
  await page.route('**/api/v1/history*', async (route) => {
    const response = await route.fetch(), body = await response.json();
    body.t = Array.from({length: n}, (_, i) => now - (n - i) * 1000);
    for (const key of Object.keys(body.columns)) body.columns[key] = new Array(n).fill(null);
    for (let i = 0; i < n; i++) for (const [key, v] of Object.entries(columns(i))) (body.columns[key] ??= new Array(n).fill(null))[i] = v;
    await route.fulfill({response, json: body});
  });
  await page.route('**/api/v1/events*', async (route) => {
    const response = await route.fetch();
    await route.fulfill({response, json: {...await response.json(), episodes: episodes.map((e) => ({...e, from: now - (n - e.from) * 1000, to: now - (n - e.to) * 1000}))}});
  });
  for (const path of ['stream', 'samples']) await page.route(`**/api/v1/${path}*`, (route) => route.abort());
};

const still = {ignore: /Failed to load resource|willReadFrequently/, state: 'lost'};

test('the memory of the container does not flatten the resident memory', async (t) => {
  const reach = async (container) => {
    const {page} = await open(t, CALM, {...still, prepare: drawn(() => ({
      'process.memory.usage': 50 << 20, 'gmpulse.cgroup.memory.working_set': container, 'gmpulse.cgroup.memory.max': 8 * 2 ** 30,
    }))});
    await page.locator('[data-card=rss]').scrollIntoViewIfNeeded();
    return until('the chart', () => page.evaluate(() => {
      const u = window.charts.find((c) => c.root.isConnected && c.root.closest('[data-card=rss]'));
      return u && u.data[1].some((v) => v > 0) && u.scales.y.max;
    }));
  };
  const far = await reach(5 * 2 ** 30), near = await reach(90 << 20);
  assert.ok(far < 100 << 20, `the scale reaches to ${far >> 20} MiB for a process of 50 MiB in a container of 5 GiB`);
  assert.ok(near > 90 << 20 && near < 200 << 20, `the scale reaches to ${near >> 20} MiB and lacks the container of 90 MiB`);
});

for (const colorScheme of ['light', 'dark']) {
  test(`the shade of a leak does not change the colours of the states: ${colorScheme}`, async (t) => {
    const states = ['running', 'runnable', 'not_in_go'];
    const {page} = await open(t, CALM, {...still, colorScheme, prepare: drawn((i) => ({
      'gmpulse.goroutine.user': i < 5 ? 400 : 200, // the first rows make room above the later ones
      ...Object.fromEntries(states.map((s) => ['gmpulse.scheduler.goroutines.' + s, 50])),
    }), [{id: 1, source: 'goroutines', kind: 'leak', subject: 'main.leak', from: 60, to: 90}])});
    // Colours at the height of each state, and above all, in the seconds of the episode and after it.
    const colours = await until('the chart', () => page.evaluate(() => {
      const u = window.charts.find((c) => c.root.isConnected && c.root.closest('.hero') && c.series.length === 9);
      if (!u?.data[0].length) return null;
      const times = u.data[0].slice(-120);
      const at = (row, v) => [...u.ctx.getImageData(Math.round(u.valToPos(times[row] + 0.5, 'x', true)), Math.round(u.valToPos(v, 'y', true)), 1, 1).data].join();
      const seen = (from, to, v) => [...new Set(Array.from({length: to - from}, (_, i) => at(from + i, v)))];
      return [25, 75, 125, 175, 230].map((v) => ({within: seen(65, 85, v), after: seen(95, 115, v)}));
    }));
    const above = colours.pop();
    assert.ok(!above.within.some((c) => above.after.includes(c)), `the leak is shaded above the states: ${JSON.stringify(above)}`);
    for (const c of colours) {
      assert.equal(c.within.length, 1, JSON.stringify(c));
      assert.deepEqual(c.within, c.after);
    }
    assert.equal(new Set(colours.map((c) => c.within[0])).size, 4, 'each state has its colour');
  });
}

/** tooWide names the elements that reach beyond the right edge of the window. */
const tooWide = (page) => page.evaluate(() => {
  const clipped = (e) => { for (let p = e; p && p !== document.body; p = p.parentElement) if (getComputedStyle(p).position === 'fixed' || p !== e && getComputedStyle(p).overflowX !== 'visible') return true; };
  const found = [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 0.5 && !clipped(e))
    .map((e) => `${e.tagName.toLowerCase()}${e.id && '#' + e.id}.${e.getAttribute('class')} to ${Math.round(e.getBoundingClientRect().right)} px: ${e.textContent.slice(0, 60)}`);
  const width = document.documentElement.scrollWidth;
  return width > innerWidth ? [`the document is ${width} px wide in a window of ${innerWidth} px`, ...found] : found;
});

const phone = {viewport: {width: 390, height: 844}, deviceScaleFactor: 2};

test('on a phone the header takes two lines and nothing is cut off', async (t) => {
  const {page} = await open(t, CALM, phone);
  assert.ok(await page.locator('.bar').evaluate((e) => e.offsetHeight) <= 80);
  assert.deepEqual(await tooWide(page), []);
  await page.locator('.tip').evaluate((e) => { e.hidden = false; e.textContent = 'a mark on the rail'; });
  await page.keyboard.press('+');
  await page.getByRole('button', {name: 'Back to now (0)'}).waitFor();
  assert.deepEqual(await tooWide(page), []);
  await page.setViewportSize({width: 844, height: 390});
  await page.setViewportSize({width: 320, height: 844});
  await until('charts follow a narrower window', async () => (await tooWide(page)).length === 0);
});

const long = {
  func: 'example.com/organisation/repository/internal/service.(*' + 'VeryLongGeneratedClientName'.repeat(6) + ').Do.func1',
  root: 'GET_/api/v1/' + 'organisations-and-members/'.repeat(6), service: 'checkout-service-'.repeat(8),
};

/** longest puts the longest names into the answers of the API: kind is that of the one verdict. */
const longest = (kind) => async (page) => {
  const edit = (path, change) => page.route(`**/api/v1/${path}*`, async (route) => {
    const response = await route.fetch(), body = await response.json();
    change(body);
    await route.fulfill({response, json: body});
  });
  const now = Date.now(), roots = [{name: long.root, count: 900, examples: [{trace: 'a'.repeat(32), span: 'b'.repeat(16)}]}, {name: '', count: 34567}];
  const group = {
    id: 1, wait: 'chan receive (nil chan)', family: 'channel', function: long.func, file: '/src/' + 'f'.repeat(80) + '.go', line: 12345, site: long.func, entry: long.func,
    count: 1234567, before: 3, roots, stack: [long.func, long.func],
    verdict: {kind, suspect: kind === 'leak', since: now - 9e5, count: 1234567, per_minute: 98765, where: long.func + ' (f.go:1)', created_at: long.func, evidence: '1234567 of them wait in ' + long.func, hint: long.func + ' does not return', ages: [{at_least: 60, count: 5}]},
  };
  await edit('meta', (m) => { Object.assign(m, {no_spans: true, can_capture: true, captures: true}); m.resource['service.name'] = long.service; });
  await edit('goroutines', (g) => { g.verdicts = kind ? [group] : []; g.groups = [group]; });
  await edit('moment', (m) => { m.groups = [group]; m.spans = [{name: long.root, trace: 'a'.repeat(32), span: 'b'.repeat(16), start: now - 1e4, last: now}]; m.events = [{t: now, level: 'WARN', name: 'x', text: long.func}]; });
  await edit('captures', (c) => { c.captures = [{id: long.service, t: now, reason: long.func, files: [{name: 'g'.repeat(90) + '.pb.gz', size: 123456789, kind: 'profile', tool: 'go tool pprof -http=: '}]}]; });
  await edit('events', (e) => { e.episodes = [{id: 99, source: 'band', subject: 'root_span.p99 ' + long.root, from: now - 1e5, to: 0, peak: 1234.5, expected: 0.0123, unit: 's'}]; });
  if (!kind) for (const path of ['stream', 'samples']) await page.route(`**/api/v1/${path}*`, (route) => route.abort());
};

// Without a verdict, the stream is cut as well: the band's text and the state "connection lost" remain.
for (const [kind, locale] of [['leak', 'en-US'], ['growing', 'zh-CN'], ['', 'en-US']]) {
  test(`on a phone no text widens the page: ${kind || 'a signal outside its band'}, ${locale}`, async (t) => {
    const {page} = await open(t, CALM, {...phone, locale, prepare: longest(kind), ignore: kind ? undefined : /Failed to load resource/, state: kind ? 'live' : 'lost'});
    await page.waitForSelector('figure.small canvas');
    await until('the verdict', async () => (await page.locator('#verdict').innerText()).includes(kind ? long.func : long.root));
    assert.deepEqual(await tooWide(page), [], 'the page');
    assert.ok(await page.locator('.bar').evaluate((e) => e.offsetHeight) <= 80, 'the header takes two lines');
    await page.keyboard.press('t');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.moment .bundle');
    await page.locator('.moment .more summary').first().click();
    assert.deepEqual(await tooWide(page), [], 'the moment');
    await page.evaluate(() => { const b = document.createElement('b'); b.className = 'wide'; b.style.whiteSpace = 'nowrap'; b.append('x'.repeat(200)); document.querySelector('#verdict').append(b); });
    assert.match((await tooWide(page)).join(), /b\.wide to \d+ px/, 'the check itself');
    if (SHOTS) await page.screenshot({path: `${SHOTS}/phone-${kind || 'band'}-${locale}.png`, fullPage: true});
  });
}
