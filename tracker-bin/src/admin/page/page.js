'use strict';
// Shows /api/status every two seconds and /api/history every five. Everything is written as text, never as HTML.

const byId = id => document.getElementById(id);

const make = (name, properties = {}, ...children) => {
  const element = document.createElement(name);
  Object.assign(element, properties);
  element.append(...children);
  return element;
};

const draw = (name, attributes = {}, ...children) => {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const number = value => value === null || value === undefined ? '–' : whole.format(value);
const rate = value => value === null || value === undefined ? '–' : value < 100 ? String(Math.round(value * 10) / 10) : whole.format(value);
const brief = value => short.format(value);
const percent = value => `${whole.format(value * 100)} %`;
const bytes = value => {
  if (value === null || value === undefined) return '–';
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let at = 0;
  while (value >= 1000 && at < units.length - 1) { value /= 1000; at += 1; }
  return `${at === 0 ? value : value.toPrecision(3)} ${units[at]}`;
};
const micros = value => value === null || value === undefined ? '–' : value < 1000 ? `${value} µs` : value < 1e6 ? `${value / 1000} ms` : `${value / 1e6} s`;
const duration = seconds => {
  seconds = Math.floor(seconds);
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min` : `${seconds} s`;
};
const sum = object => Object.values(object).reduce((total, value) => total + value, 0);
const words = name => name.replaceAll('_', ' ');

const tile = (id, title, value, more = '', bad = false) =>
  make('div', { className: bad ? 'tile bad' : 'tile', id },
    make('dl', {}, make('dt', { textContent: title }), make('dd', { className: 'value', textContent: value }), make('dd', { className: 'more', textContent: more })));

const rows = (id, all) => {
  byId(id).tBodies[0].replaceChildren(...all.map(([first, ...rest]) =>
    make('tr', {}, make('th', { scope: 'row', textContent: first }), ...rest.map(text => make('td', { textContent: text })))));
};

const show = status => {
  const { families, requests, rates, memory, host } = status;
  const both = what => families.ipv4[what] + families.ipv6[what];
  byId('about').textContent = `Version ${status.version}, up ${duration(status.uptime_seconds)}, ${status.listening.join(' ')}`;
  byId('tiles').replaceChildren(
    tile('received', 'Requests a second', rate(rates.received), `${number(requests.received)} in total`),
    tile('answered', 'Answers a second', rate(rates.answered), `${number(requests.answered)} in total`),
    tile('rejected', 'Rejected a second', rate(rates.rejected), `${number(sum(requests.rejected))} in total`),
    tile('dropped', 'Dropped by the kernel a second', rate(rates.dropped_by_kernel), `${number(requests.dropped_by_kernel)} in total; ${number(requests.not_sent)} replies not sent`, rates.dropped_by_kernel > 0),
    tile('peers', 'Peers', number(both('peers')), `${number(both('seeders'))} seeders, ${number(both('leechers'))} leechers`),
    tile('torrents', 'Torrents', number(both('torrents')), `${number(both('completed'))} downloads completed`),
    tile('latency', 'Half of the replies within', micros(rates.p50_microseconds), `99 % within ${micros(rates.p99_microseconds)}`),
    tile('memory', 'Memory', bytes(memory.resident_bytes), `of which the store ${bytes(memory.store_bytes)}`));
  rows('actions', Object.entries(requests.answered_by_action).map(([action, n]) => [words(action), number(n)]));
  const refused = [['rejected', requests.rejected], ['ignored', requests.ignored]].flatMap(([kind, reasons]) =>
    Object.entries(reasons).filter(([, n]) => n > 0).map(([reason, n]) => [`${kind}: ${words(reason)}`, number(n)]));
  rows('refused', refused.length ? refused : [['none', '0']]);
  rows('workers', status.workers.map((worker, at) => [String(at), percent(worker.busy), worker.batch.toFixed(1), number(worker.datagrams)]));
  rows('store', Object.entries(families).map(([family, stored]) =>
    [family === 'ipv4' ? 'IPv4' : 'IPv6', number(stored.torrents), number(stored.seeders), number(stored.leechers), number(stored.completed)]));
  byId('livesync-section').hidden = status.livesync.length === 0;
  rows('livesync', status.livesync.map(node => [node.address,
    node.seconds_since_packet === null ? 'never' : `${duration(node.seconds_since_packet)} ago`,
    node.lag_seconds === null ? '–' : `${node.lag_seconds.toFixed(1)} s`, number(node.records), number(node.applied)]));
  rows('machine', [
    ['Process in memory', bytes(memory.resident_bytes)],
    ['Store', bytes(memory.store_bytes)],
    ['Most torrents, each family', number(memory.max_torrents)],
    ['Most peers, each family', number(memory.max_peers)],
    ['Not stored, store full', number(requests.store_full)],
    ['Tracked connections (conntrack)', host.conntrack_limit === null ? 'not used' : `${number(host.conntrack_entries)} of ${number(host.conntrack_limit)}`],
    ['Dropped before any socket', number(host.softnet_dropped)],
    ['Dropped by full UDP buffers, all programs', number(host.udp_buffer_errors)],
  ]);
  const findings = status.findings.map(finding => finding.what);
  const list = byId('findings');
  // An unchanged list is left alone, so that a screen reader does not read it again.
  if (list.dataset.shown !== findings.join('\n')) {
    list.dataset.shown = findings.join('\n');
    list.replaceChildren(...findings.map(text => make('li', { textContent: text })));
  }
  byId('attention').hidden = findings.length === 0;
  state(findings.length ? `Serving; ${findings.length} ${findings.length === 1 ? 'thing needs' : 'things need'} attention` : 'Serving', false);
};

const state = (text, bad) => {
  const element = byId('state');
  if (element.textContent !== text) element.textContent = text;
  element.classList.toggle('bad', bad);
};

const PLOTS = [
  { id: 'plot-requests', title: 'Requests a second', format: brief, lines: [['answered', 'blue', 'answered'], ['rejected', 'amber', 'rejected'], ['dropped_by_kernel', 'red', 'dropped by the kernel']] },
  { id: 'plot-latency', title: 'Replies within', format: micros, lines: [['p50_microseconds', 'blue', 'half'], ['p99_microseconds', 'amber', '99 %']] },
  { id: 'plot-peers', title: 'Peers and torrents', format: brief, lines: [['peers', 'blue', 'peers'], ['torrents', 'green', 'torrents']] },
  { id: 'plot-busy', title: 'Busiest worker', format: percent, most: 1, lines: [['busy', 'blue', 'busy']] },
];

const HOUR = 3600;
const WIDTH = 400;
const HEIGHT = 130;
const LEFT = 44;

/** The smallest of 1, 2, 5, 10, 20, .. that is not below a value. */
const ceiling = value => {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map(step => step * power).find(step => step >= value * 0.999999);
};

const plot = ({ id, title, format, most, lines }, points, now) => {
  const values = lines.flatMap(([key]) => points.map(point => point[key] ?? 0));
  const top = most ?? ceiling(Math.max(...values, 0));
  const x = time => LEFT + (WIDTH - LEFT) * (1 - (now - time) / HOUR);
  const y = value => HEIGHT - 16 - (HEIGHT - 28) * Math.min(value / top, 1);
  const axes = [0, top / 2, top].flatMap(value => [
    draw('line', { class: 'axis', x1: LEFT, x2: WIDTH, y1: y(value), y2: y(value) }),
    draw('text', { x: LEFT - 6, y: y(value) + 4, 'text-anchor': 'end' }, value === 0 ? '0' : format(value)),
  ]);
  const times = [[HOUR, '1 h ago', 'start'], [HOUR / 2, '30 min', 'middle'], [0, 'now', 'end']].map(([ago, text, anchor]) =>
    draw('text', { x: x(now - ago), y: HEIGHT - 1, 'text-anchor': anchor }, text));
  const curves = lines.map(([key, colour]) => {
    let pen = 'M';
    const path = points.filter(point => now - point.time <= HOUR).map(point => {
      if (point[key] === null) { pen = 'M'; return ''; }
      const step = `${pen}${x(point.time).toFixed(1)} ${y(point[key]).toFixed(1)}`;
      pen = 'L';
      return step;
    });
    return draw('path', { class: colour, 'data-key': key, d: path.join('') });
  });
  const last = points.at(-1) ?? {};
  const text = value => value === null || value === undefined ? 'none' : format(value);
  const label = `${title} in the last hour, now: ${lines.map(([key, , name]) => `${name} ${text(last[key])}`).join(', ')}`;
  return make('div', { className: 'plot', id },
    make('h2', { textContent: title }),
    draw('svg', { role: 'img', 'aria-label': label, viewBox: `0 0 ${WIDTH} ${HEIGHT}` }, ...axes, ...curves, ...times),
    make('ul', { className: 'legend' }, ...lines.map(([key, colour, name]) => make('li', {}, make('i', { className: colour }), `${name} ${text(last[key])}`))));
};

const showHistory = points => {
  const now = Math.max(Date.now() / 1000, points.at(-1)?.time ?? 0);
  byId('plots').replaceChildren(...PLOTS.map(one => plot(one, points, now)));
};

const get = async path => {
  const answer = await fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(5000) });
  if (!answer.ok) throw new Error(`${path} answers ${answer.status}`);
  return answer.json();
};

/** Repeats a step for ever, with a pause after each, but not while nobody looks. */
const repeat = async (pause, step) => {
  for (;;) {
    if (!document.hidden) {
      try { await step(); } catch { state('No answer from the tracker. The figures are old.', true); }
    }
    await new Promise(done => setTimeout(done, pause));
  }
};

repeat(2000, async () => show(await get('/api/status')));
repeat(5000, async () => showHistory(await get('/api/history')));
