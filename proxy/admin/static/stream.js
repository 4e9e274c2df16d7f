// The stream of snapshots: read while somebody looks at the page, and taken up again when it breaks.

const SILENT_MS = 5000; // snapshots come each second
const RETRY_MS = [1000, 2000, 3000, 5000];

/** Follow `url` for ever. received: told each snapshot; lost: why there are none now, and when it is tried again (ms). */
export function follow(url, received, lost) {
  let reading = null,
    retry = 0,
    tries = 0;

  async function read() {
    stop();
    const mine = (reading = new AbortController());
    let why = "";
    try {
      for await (const snapshot of snapshots(url, mine)) {
        tries = 0;
        received(snapshot);
      }
    } catch (error) {
      why = error instanceof Refused ? error.message : "";
    }
    if (reading !== mine) return; // another has taken over, or nobody looks
    const wait = RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)];
    lost(why, wait);
    retry = setTimeout(read, wait);
  }

  function stop() {
    clearTimeout(retry);
    reading?.abort();
    reading = null;
  }

  // Nobody looks at a hidden page: it costs the proxy nothing.
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : read()));
  read();
}

class Refused extends Error {}

/** Not by EventSource, which keeps to itself why it was refused. */
async function* snapshots(url, abort) {
  let silent = setTimeout(() => abort.abort(), SILENT_MS);
  try {
    const response = await fetch(url, { signal: abort.signal, headers: { Accept: "text/event-stream" } });
    if (!response.ok) throw new Refused((await response.json().catch(() => ({}))).error ?? `refused: ${response.status}`);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ; ) {
      const { value, done } = await reader.read();
      if (done) return;
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      if (!events.length) continue;
      clearTimeout(silent);
      silent = setTimeout(() => abort.abort(), SILENT_MS);
      yield JSON.parse(events.at(-1).slice("data: ".length)); // the latest, if several waited
    }
  } finally {
    clearTimeout(silent);
  }
}
