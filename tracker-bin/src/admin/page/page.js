// Shows /api/status every two seconds, and /api/history whenever it has a new point. Everything from the tracker is
// written as text, never as HTML.

import * as plots from './plots.js';
import * as units from './units.js';

const { bytes, clock, duration, percent, rate, whole } = units;

/** Milliseconds from one status to the next; and how many of them pass between two while nobody sees the page. */
const PAUSE = 2000;
const HIDDEN = 15;
/** Rates are those from the oldest of this many statuses to the newest. */
const STATUSES = 4;

const REASONS = {
  bad_connection_id: 'The connection_id is unknown or has expired. Usual after a restart; many of them may be forged.',
  malformed: 'Against the protocol, with a valid connection_id.',
  not_served: 'The list of torrents does not allow this one.',
  denied_client: 'The list of clients denies this one by its peer_id.',
  bad_passkey: 'Without a passkey in its URL, or with one that is not on the list.',
  denied_network: 'The list of networks denies the address.',
  refused: 'A policy refused the announce.',
  bad_length: 'Shorter or longer than any request.',
  no_request: 'Not from a BitTorrent client.',
  looks_like_reply: 'The reply of a tracker, sent here by mistake or with a forged source address.',
  source_port_zero: 'From port 0, to which nothing can be sent.',
};

const byId = id => document.getElementById(id);
const words = name => name.replaceAll('_', ' ');
const sum = object => Object.values(object).reduce((total, value) => total + value, 0);

/** Changes only what is different, so that selected text stays selected and is not read out again. */
const write = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};

/** A row is `[name, ...texts]`; a name may be `[text, explanation]`, and a text `{ share, name }`, which is a meter. */
const fill = (id, rows) => {
  const body = byId(id).tBodies[0];
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((cells, at) => {
    const row = body.rows[at] ?? body.insertRow();
    cells.forEach((cell, column) => {
      if (!row.cells[column]) {
        row.append(document.createElement(column === 0 ? 'th' : 'td'));
        if (column === 0) row.cells[0].scope = 'row';
      }
      writeCell(row.cells[column], cell);
    });
  });
};

const writeCell = (element, cell) => {
  if (typeof cell === 'string') {
    write(element, cell);
  } else if (Array.isArray(cell)) {
    const [text, explanation] = cell;
    if (element.textContent === text + explanation) return;
    const small = document.createElement('small');
    small.textContent = explanation;
    element.replaceChildren(text, small);
  } else {
    let meter = element.querySelector('meter');
    if (!meter) {
      meter = document.createElement('meter');
      Object.assign(meter, { min: 0, max: 1, low: 0.8, high: 0.9, optimum: 0 });
      element.replaceChildren(meter, document.createElement('span'));
    }
    meter.value = cell.share;
    meter.setAttribute('aria-label', cell.name);
    write(element.lastChild, percent(cell.share));
  }
};

/** All datagrams by what became of them: `[name, explanation, n]`. The first is the sum of the others but the last. */
const fates = ({ received, answered_by_action, rejected, ignored, not_sent, dropped_by_kernel }) => {
  const of = (kind, reasons) => Object.entries(reasons).filter(([, n]) => n > 0)
    .map(([reason, n]) => [`${kind}: ${words(reason)}`, REASONS[reason] ?? '', n]);
  return [
    ['Received', '', received],
    ...Object.entries(answered_by_action).map(([action, n]) => [`Answered: ${words(action)}`, '', n]),
    ...of('Rejected', rejected),
    ...of('Ignored', ignored),
    ['Not sent', not_sent > 0 ? 'The system did not accept the reply.' : '', not_sent],
    ['Dropped by the kernel', 'Before the tracker saw them, so not in the sum.', dropped_by_kernel],
  ];
};

/** Recent statuses, the oldest first. */
let recent = [];

/** How much a total has grown a second. */
const perSecond = (status, total) => {
  const [earlier] = recent;
  const seconds = status.uptime_seconds - earlier.uptime_seconds;
  return seconds > 0.5 ? (total(status) - total(earlier)) / seconds : null;
};

const derive = status => {
  const { families, requests } = status;
  const both = what => families.ipv4[what] + families.ipv6[what];
  const growth = total => perSecond(status, ({ requests }) => total(requests));
  const refused = ({ rejected, ignored }) => sum(rejected) + sum(ignored);
  const reasons = Object.entries({ ...requests.rejected, ...requests.ignored });
  const [reason, most] = reasons.reduce((best, each) => each[1] > best[1] ? each : best, ['', 0]);
  return {
    derived: {
      peers: both('peers'), seeders: both('seeders'), torrents: both('torrents'), completed: both('completed'),
      main_reason: most > 0 ? `mostly: ${words(reason)}` : 'none since the start',
    },
    second: {
      received: growth(({ received }) => received),
      answered: growth(({ answered }) => answered),
      refused: growth(refused),
      dropped_by_kernel: growth(({ dropped_by_kernel }) => dropped_by_kernel),
    },
  };
};

const showTables = status => {
  const { families, requests, workers, livesync, memory, host } = status;
  const totalOf = name => ({ requests }) => fates(requests).find(([other]) => other === name)?.[2] ?? 0;
  fill('requests', fates(requests).map(([name, explanation, n]) =>
    [[name, explanation], rate(perSecond(status, totalOf(name))), whole(n)]));

  const names = { ipv4: 'IPv4', ipv6: 'IPv6' };
  fill('store', [['Torrents', 'torrents'], ['Seeders', 'seeders'], ['Leechers', 'leechers'], ['Downloads completed', 'completed']]
    .map(([name, key]) => [name, whole(families.ipv4[key]), whole(families.ipv6[key])]));

  const limit = (name, n, most) =>
    [[name, `at most ${whole(most)}`], whole(n), { share: most > 0 ? n / most : 0, name: `${name}, share of the limit` }];
  const limits = Object.entries(families).flatMap(([family, { torrents, peers }]) => [
    limit(`Torrents, ${names[family]}`, torrents, memory.max_torrents),
    limit(`Peers, ${names[family]}`, peers, memory.max_peers),
  ]);
  if (memory.max_store_bytes > 0) {
    const { store_bytes, max_store_bytes } = memory;
    const share = { share: store_bytes / max_store_bytes, name: 'Memory of the store, share of the limit' };
    limits.push([['Memory of the store', `at most ${bytes(max_store_bytes)}`], bytes(store_bytes), share]);
  }
  const { conntrack_entries, conntrack_limit } = host;
  fill('limits', conntrack_limit ? [...limits, limit('Connections in conntrack', conntrack_entries, conntrack_limit)] : limits);

  fill('workers', workers.map(({ busy, batch, datagrams }, at) =>
    [String(at), { share: busy, name: `Worker ${at} busy` }, batch.toFixed(1), whole(datagrams)]));

  byId('livesync-card').hidden = livesync.length === 0;
  fill('livesync', livesync.map(({ address, seconds_since_packet, lag_seconds, records, applied }) => [
    [address, `${whole(applied)} of ${whole(records)} records applied`],
    seconds_since_packet === null ? 'never' : `${duration(seconds_since_packet)} ago`,
    lag_seconds === null ? '–' : `${lag_seconds.toFixed(1)} s`,
  ]));

  fill('machine', [
    ['Process in memory', bytes(memory.resident_bytes)],
    ['Store', bytes(memory.store_bytes)],
    [['Not stored', 'Announces that were answered while the store was full.'], whole(requests.store_full)],
    [['Not stored, by rule', 'Announces of addresses that may not be stored, and of networks that hold as much as one may.'],
      whole(Object.values(requests.not_stored).reduce((sum, n) => sum + n, 0))],
    [['Made room', 'Stored peers of networks that hold much, removed from the full store for others.'], whole(requests.evicted)],
    ['Errors on receiving', whole(requests.receive_errors)],
    [['Dropped before any socket', 'By the whole machine, since it was started.'], whole(host.softnet_dropped)],
    [['Dropped at full UDP buffers', 'By all programs.'], whole(host.udp_buffer_errors)],
  ]);
};

/** The most urgent first: what is wrong, and what to do. */
const showFindings = findings => {
  const list = byId('findings');
  const urgent = ({ severity }) => severity === 'problem' ? 0 : 1;
  const sorted = findings.toSorted((one, other) => urgent(one) - urgent(other));
  while (list.children.length > sorted.length) list.lastChild.remove();
  sorted.forEach(({ severity, what, fix }, at) => {
    const item = list.children[at] ?? list.appendChild(document.createElement('li'));
    const key = JSON.stringify([severity, what, fix]);
    if (item.dataset.shown === key) return;
    item.dataset.shown = key;
    item.className = severity;
    const [kind, advice] = ['b', 'span'].map(name => document.createElement(name));
    kind.textContent = severity === 'problem' ? 'Problem:' : 'Warning:';
    advice.className = 'fix';
    advice.textContent = fix ?? '';
    item.replaceChildren(kind, ` ${what}. `, ...fix ? ['To fix it: ', advice] : []);
  });
  byId('attention').hidden = findings.length === 0;
};

const showState = (kind, text) => {
  byId('state').className = kind;
  write(byId('state'), text);
};

const show = status => {
  if (recent.length > 0 && recent[0].version !== status.version) location.reload();
  // The tracker was restarted: its totals begin at zero.
  if (recent.some(({ uptime_seconds }) => uptime_seconds > status.uptime_seconds)) recent = [];
  recent = [...recent, status].slice(-STATUSES);

  const figures = { ...status, ...derive(status) };
  for (const element of document.querySelectorAll('[data-figure]')) {
    const { figure, unit = 'text' } = element.dataset;
    write(element, units[unit](figure.split('.').reduce((value, key) => value?.[key], figures)));
  }
  byId('lost').classList.toggle('bad', figures.second.dropped_by_kernel > 0);
  showTables(status);
  showFindings(status.findings);
  write(byId('about'), `${status.listening.join('  ')} · version ${status.version} · up ${duration(status.uptime_seconds)}`);
  const n = status.findings.length;
  if (n === 0) showState('good', 'Serving. Nothing needs attention.');
  else showState('attention', `Serving. ${n} ${n === 1 ? 'thing needs' : 'things need'} attention.`);
  document.title = `${n > 0 ? `(${n}) ` : ''}${rate(figures.second.received)}/s · ${location.host}`;
};

const get = async path => {
  const answer = await fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(5000) });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error);
  return body;
};

let answered = null;
/** When the newest points were received; the tracker has all of the last hour. */
let received = -Infinity;

/** Gets the status, and the points that may be new. Returns whether the tracker has answered. */
const load = async () => {
  const seconds = (performance.now() - received) / 1000;
  const last = Math.min(Math.ceil(seconds / plots.STEP) + 2, 720);
  try {
    const status = await get('/api/status');
    const points = seconds >= plots.STEP ? await get(`/api/history?last=${last}`) : null;
    return { status, points };
  } catch {
    return null;
  }
};

let isLoading = false;

const refresh = async () => {
  if (isLoading) return;
  isLoading = true;
  const loaded = await load();
  isLoading = false;
  document.body.classList.toggle('old', loaded === null);
  if (loaded === null) {
    const since = answered === null ? '' : ` since ${clock(answered)}. The figures are from then`;
    showState('bad', `No answer from the tracker${since}.`);
    document.title = `(no answer) ${location.host}`;
    return;
  }
  answered = Date.now() / 1000;
  show(loaded.status);
  if (loaded.points) {
    received = performance.now();
    plots.add(loaded.points);
  }
};

const lookUp = async () => {
  const hash = byId('torrent').value.match(/[0-9a-f]{40}/i)?.[0].toLowerCase();
  if (!hash) return 'An info_hash has 40 hex digits.';
  const { ipv4, ipv6 } = await get(`/api/torrents/${hash}`);
  const counts = ({ seeders, leechers, completed }) =>
    `${whole(seeders)} seeders, ${whole(leechers)} leechers, ${whole(completed)} completed`;
  return `IPv4: ${counts(ipv4)}. IPv6: ${counts(ipv6)}.`;
};

byId('lookup').addEventListener('submit', async event => {
  event.preventDefault();
  const found = await lookUp().catch(({ message }) => message);
  write(byId('found'), found);
});

let turns = 0;
setInterval(() => {
  turns += 1;
  if (!document.hidden || turns % HIDDEN === 0) refresh();
}, PAUSE);
document.addEventListener('visibilitychange', () => { if (!document.hidden) refresh(); });

byId('main').querySelector('noscript')?.remove();
write(document.querySelector('h1'), `Tracker ${location.hostname}`);
plots.start();
refresh();
// Rates need two statuses.
setTimeout(refresh, 1000);
