// Figures as people read them.

export const NONE = "–";
export const ERRORS_MANY = 0.01; // from here on an error rate stands out
const THIN = "\u202f";
const FIRST_BOUND = 0.005,
  LAST_BOUND = 10;
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const one = new Intl.NumberFormat("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 });

export const count = (number) => whole.format(number);

export function rate(number) {
  if (number === null || number === undefined) return NONE;
  return number === 0 ? "0" : number < 0.05 ? "<0.1" : number < 99.95 ? one.format(number) : whole.format(number);
}

export function percent(part) {
  if (part === null || part === undefined) return NONE;
  const hundred = part * 100;
  const digits = hundred === 0 || hundred === 100 ? 0 : hundred < 1 || hundred > 99 ? 2 : 1;
  if (part > 0 && hundred < 0.01) return `<0.01${THIN}%`;
  return `${hundred.toFixed(digits)}${THIN}%`;
}

/** A share that the rules say: as few digits as tell it. */
export const share = (part) => `${Number((part * 100).toFixed(2))}${THIN}%`;

/** Seconds. Below its first and above its last bound a histogram knows no more. */
export function latency(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds <= FIRST_BOUND) return `<${THIN}5${THIN}ms`;
  if (seconds >= LAST_BOUND) return `>${THIN}10${THIN}s`;
  return seconds < 1 ? `${Math.round(seconds * 1000)}${THIN}ms` : `${seconds.toFixed(2)}${THIN}s`;
}

export const clock = (at) => new Date(at * 1000).toLocaleTimeString([], { hour12: false });

/** As `clock`, with the day where it is not today. */
export function moment(at) {
  const day = new Date(at * 1000);
  const today = day.toDateString() === new Date().toDateString();
  return today ? clock(at) : `${day.toLocaleDateString([], { day: "numeric", month: "short" })} ${clock(at)}`;
}

export function ago(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))}${THIN}s ago`;
  if (seconds < 3600) return `${Math.round(seconds / 60)}${THIN}min ago`;
  if (seconds < 86400) return `${Math.round(seconds / 3600)}${THIN}h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

/** Seconds, as in the rule file: 90s, 10m. */
export function duration(seconds) {
  if (seconds >= 5400 || (seconds && seconds % 3600 === 0)) return `${Number((seconds / 3600).toFixed(1))}${THIN}h`;
  if (seconds >= 90 || (seconds && seconds % 60 === 0)) return `${Math.round(seconds / 60)}${THIN}min`;
  return `${Math.round(seconds)}${THIN}s`;
}

export const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;
