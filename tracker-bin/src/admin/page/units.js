// Figures as text. A missing one is a dash.

const NONE = '–';
const groups = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const hands = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

const known = format => value => value === null || value === undefined ? NONE : format(value);

export const text = known(String);
export const whole = known(value => groups.format(value));
export const rate = known(value => (value < 100 ? tenths : groups).format(value));
export const brief = known(value => compact.format(value));
export const percent = known(value => `${groups.format(value * 100)} %`);
export const micros = known(value => {
  if (value < 1000) return `${tenths.format(value)} µs`;
  return value < 1e6 ? `${tenths.format(value / 1000)} ms` : `${tenths.format(value / 1e6)} s`;
});

export const bytes = known(value => {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let at = 0;
  while (value >= 999.5 && at < units.length - 1) {
    value /= 1000;
    at += 1;
  }
  return `${value < 10 && at > 0 ? tenths.format(value) : groups.format(value)} ${units[at]}`;
});

/** A time of day, from seconds since 1970. */
export const clock = seconds => hands.format(new Date(seconds * 1000));
export const minutes = seconds => clock(seconds).slice(0, 5);

/** The two largest units of a time in seconds. */
export const duration = known(seconds => {
  const whole = Math.max(Math.floor(seconds), 0);
  const parts = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  let rest = whole;
  const counted = parts.map(([size, unit]) => {
    const n = Math.floor(rest / size);
    rest -= n * size;
    return [n, unit];
  });
  const first = Math.max(counted.findIndex(([n]) => n > 0), 0);
  const shown = whole === 0 ? [[0, 's']] : counted.slice(first, first + 2).filter(([n]) => n > 0);
  return shown.map(([n, unit]) => `${n} ${unit}`).join(' ');
});
