// Plots of the last hour, as SVG. All have the same time axis, and mark the same moment.

import { brief, bytes, clock, duration, micros, minutes, percent, rate } from './units.js';

/** Fields of /api/history, each with its colour and its name. A stack adds them up; a logarithmic scale begins at `from`. */
const PLOTS = [
  {
    id: 'plot-requests', title: 'Datagrams a second', isStack: true, isWide: true, axis: brief, unit: rate,
    lines: [['answered', 'blue', 'answered'], ['rejected', 'amber', 'rejected'], ['ignored', 'grey', 'ignored'], ['not_sent', 'violet', 'not sent'], ['dropped_by_kernel', 'red', 'dropped by the kernel']],
  },
  {
    id: 'plot-latency', title: 'Replies within', from: 10, axis: micros, unit: micros,
    lines: [['p50_microseconds', 'blue', 'half'], ['p99_microseconds', 'amber', '99 %']],
  },
  {
    id: 'plot-peers', title: 'Peers and torrents', axis: brief, unit: brief,
    lines: [['peers', 'blue', 'peers'], ['torrents', 'green', 'torrents']],
  },
  {
    id: 'plot-busy', title: 'Busiest worker', to: 1, axis: percent, unit: percent,
    lines: [['busy', 'blue', 'busy']],
  },
  {
    id: 'plot-memory', title: 'Memory', axis: bytes, unit: bytes,
    lines: [['resident_bytes', 'blue', 'process'], ['store_bytes', 'green', 'store']],
  },
];

/** Seconds from one point to the next, and the longest time without a point that a line is drawn across. */
export const STEP = 5;
const GAP = 4 * STEP;
/** The least time that is shown, in seconds. */
const SHORTEST = 300;
/** Pixels around the plotted area. */
const [LEFT, RIGHT, TOP, BOTTOM] = [52, 8, 8, 20];

const byId = id => document.getElementById(id);

const svg = (name, attributes, ...children) => {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};

let points = [];
/** The longest time to show, in seconds. */
let span = 3600;
/** The moment that is looked at, in seconds since 1970; null is now. */
let moment = null;

const newest = () => points.at(-1)?.time ?? Math.floor(Date.now() / 1000);
/** A tracker that was started just now has little to show: the time axis grows with its history. */
const shown = () => Math.min(span, Math.max(SHORTEST, newest() - (points[0]?.time ?? newest())));

/** The point at the moment that is looked at, if there is one. */
const looked = () => {
  if (moment === null) return points.at(-1);
  const distance = point => Math.abs(point.time - moment);
  const nearest = points.reduce((best, point) => distance(point) < distance(best) ? point : best, points[0]);
  return nearest && distance(nearest) <= GAP ? nearest : undefined;
};

/** The smallest number not below a value that is round, and whose half is. */
const ceiling = value => {
  if (value <= 2) return 2;
  const power = 10 ** Math.floor(Math.log10(value));
  const steps = power === 1 ? [2, 4, 6, 8, 10] : [1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10];
  return steps.map(step => step * power).find(step => step >= value * 0.999999);
};

/** From a value to its part of the height, 0 to 1, and the values with a line of the grid. */
const scale = ({ lines, isStack, from, to }, window) => {
  const values = window.map(point => lines.map(([key]) => point[key] ?? 0));
  const tops = isStack ? values.map(each => each.reduce((sum, value) => sum + value, 0)) : values.flat();
  const largest = tops.reduce((most, value) => Math.max(most, value), 0);
  if (from === undefined) {
    const top = to ?? ceiling(largest);
    return { part: value => Math.min(value / top, 1), grid: [0, top / 2, top] };
  }
  const decades = Math.max(2, Math.ceil(Math.log10(largest / from) - 1e-9));
  const part = value => Math.min(Math.max(Math.log10(value / from) / decades, 0), 1);
  return { part, grid: Array.from({ length: decades + 1 }, (_, at) => from * 10 ** at) };
};

/** Splits points where the tracker has not recorded any for a while. */
const runs = window => {
  const all = [];
  window.forEach((point, at) => {
    if (at === 0 || point.time - window[at - 1].time > GAP) all.push([]);
    all.at(-1).push(point);
  });
  return all;
};

const line = (window, key, x, y) => runs(window).map(run => {
  let pen = 'M';
  return run.map(point => {
    if (point[key] === null || point[key] === undefined) {
      pen = 'M';
      return '';
    }
    // Of no length, so that a point without neighbours is a dot.
    const step = `${pen}${x(point.time)} ${y(point[key])}${pen === 'M' ? 'h0' : ''}`;
    pen = 'L';
    return step;
  }).join('');
}).join('');

/** The area between the sum of the fields before `at` and that sum with `at`. */
const band = (window, lines, at, x, y) => runs(window).map(run => {
  const sum = (point, n) => lines.slice(0, n).reduce((total, [key]) => total + (point[key] ?? 0), 0);
  const upper = run.map(point => `${x(point.time)} ${y(sum(point, at + 1))}`);
  const lower = run.map(point => `${x(point.time)} ${y(sum(point, at))}`).reverse();
  return `M${upper.concat(lower).join('L')}Z`;
}).join('');

const times = (from, to, width) => {
  const wanted = (to - from) / Math.max(width / 90, 1);
  const step = [60, 120, 300, 600, 900, 1200, 1800].find(seconds => seconds >= wanted) ?? 3600;
  const first = Math.ceil(from / step) * step;
  return Array.from({ length: Math.floor((to - first) / step) + 1 }, (_, at) => first + at * step);
};

const drawOne = plot => {
  const { id, title, axis, unit, lines, isStack } = plot;
  const picture = byId(id).querySelector('svg');
  const { clientWidth: width, clientHeight: height } = picture;
  const [to, length] = [newest(), shown()];
  const window = points.filter(point => point.time >= to - length && point.time <= to);
  const { part, grid } = scale(plot, window);
  const x = time => +(LEFT + (width - LEFT - RIGHT) * (1 - (to - time) / length)).toFixed(1);
  const y = value => +(height - BOTTOM - (height - TOP - BOTTOM) * part(value)).toFixed(1);
  const point = looked();

  const rows = grid.flatMap(value => [
    svg('line', { class: 'grid', x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }),
    svg('text', { x: LEFT - 6, y: y(value) + 4, 'text-anchor': 'end' }, value === 0 ? '0' : axis(value)),
  ]);
  const columns = times(to - length, to, width - LEFT).flatMap(time => [
    svg('line', { class: 'grid', x1: x(time), x2: x(time), y1: height - BOTTOM, y2: height - BOTTOM + 4 }),
    svg('text', { x: Math.min(x(time), width - 16), y: height - 4, 'text-anchor': 'middle' }, minutes(time)),
  ]);
  const curves = lines.map(([key, colour], at) => isStack
    ? svg('path', { class: `band ${colour}`, 'data-key': key, d: band(window, lines, at, x, y) })
    : svg('path', { class: `line ${colour}`, 'data-key': key, d: line(window, key, x, y) }));
  const mark = moment === null || moment < to - length ? []
    : [svg('line', { class: 'mark', x1: x(moment), x2: x(moment), y1: TOP, y2: height - BOTTOM })];
  picture.setAttribute('viewBox', `0 0 ${width} ${height}`);
  picture.replaceChildren(...rows, ...columns, ...curves, ...mark);

  const figures = lines.map(([key, , name]) => `${name} ${unit(point?.[key])}`);
  const at = moment === null ? 'now' : `at ${clock(moment)}`;
  picture.setAttribute('aria-label', `${title} in the last ${duration(length)}; ${at}: ${figures.join(', ')}`);
  lines.forEach(([key], at) => {
    const value = byId(id).querySelectorAll('.legend b')[at];
    value.textContent = unit(point?.[key]);
  });
};

const draw = () => {
  const slider = byId('moment');
  slider.min = String(-Math.ceil(shown() / STEP) * STEP);
  slider.value = String(moment === null ? 0 : moment - newest());
  const when = moment === null ? 'now' : `${clock(moment)}, ${duration(newest() - moment)} ago`;
  byId('moment-text').textContent = when;
  slider.setAttribute('aria-valuetext', when);
  PLOTS.forEach(drawOne);
};

const look = time => {
  moment = time === null || time > newest() - STEP ? null : Math.max(time, newest() - shown());
  draw();
};

/** Puts the newest points in the place of those that are as new. Older ones stay, also when the tracker was restarted. */
export const add = fresh => {
  if (fresh.length > 0) {
    points = [...points.filter(point => point.time < fresh[0].time), ...fresh].slice(-3600 / STEP);
  }
  draw();
};

const make = ({ id, title, isWide, lines }) => {
  const figure = document.createElement('figure');
  figure.id = id;
  figure.className = isWide ? 'card plot wide' : 'card plot';
  const caption = document.createElement('figcaption');
  caption.textContent = title;
  const legend = document.createElement('ul');
  legend.className = 'legend';
  legend.append(...lines.map(([, colour, name]) => {
    const [item, key, value] = ['li', 'i', 'b'].map(tag => document.createElement(tag));
    key.className = colour;
    value.textContent = '–';
    item.append(key, `${name} `, value);
    return item;
  }));
  const picture = svg('svg', { role: 'img', 'aria-label': title });
  picture.addEventListener('pointermove', event => {
    const part = (event.offsetX - LEFT) / (picture.clientWidth - LEFT - RIGHT);
    look(Math.round(newest() - shown() * (1 - Math.min(Math.max(part, 0), 1))));
  });
  picture.addEventListener('pointerleave', () => look(null));
  figure.append(caption, picture, legend);
  return figure;
};

/** Makes the plots, and connects the controls above them. */
export const start = () => {
  byId('plots').append(...PLOTS.map(make));
  byId('spans').addEventListener('change', event => {
    span = Number(event.target.value);
    look(moment);
  });
  byId('moment').addEventListener('input', event => look(newest() + Number(event.target.value)));
  new ResizeObserver(draw).observe(byId('plots'));
};
