// The stream of snapshots, and who is told of them.

import { startAsking } from "./change.js";
import { announce, byId, say } from "./dom.js";
import { startExplain } from "./explain.js";
import { showMirrors } from "./mirrors.js";
import { showRollouts } from "./rollouts.js";
import { showReady, showRules, showTotals } from "./rules.js";
import { showServices } from "./services.js";
import { clock } from "./words.js";

const SILENT_MS = 5000; // snapshots come each second
const RETRY_MS = [1000, 2000, 3000, 5000];

let source = null,
  watchdog = 0,
  retry = 0,
  tries = 0,
  lastAt = 0;

function show(snapshot) {
  showReady(snapshot);
  showTotals(snapshot);
  showRules(snapshot);
  showRollouts(snapshot);
  showServices(snapshot);
  showMirrors(snapshot);
  say(byId("about"), `Grayhound ${snapshot.version}. Figures are of the last ${snapshot.window_s} seconds.`);
}

function received(event) {
  const snapshot = JSON.parse(event.data);
  if (tries) announce("Live again");
  tries = 0;
  lastAt = snapshot.at;
  watch();
  document.body.classList.remove("stale");
  byId("lost").hidden = true;
  byId("stream").className = "stream live";
  say(byId("stream"), `Live ${clock(snapshot.at)}`);
  show(snapshot);
}

function watch() {
  clearTimeout(watchdog);
  watchdog = setTimeout(lost, SILENT_MS);
}

function lost() {
  stop();
  const wait = RETRY_MS[Math.min(tries, RETRY_MS.length - 1)];
  if (!tries++) announce("The live view is interrupted. The figures are old.");
  document.body.classList.add("stale");
  byId("stream").className = "stream";
  say(byId("stream"), "Not live");
  byId("lost").hidden = false;
  const since = lastAt ? `Figures are from ${clock(lastAt)}. ` : "";
  say(
    byId("lost"),
    `No answer from the proxy's admin port, or too many dashboards are open. ${since}Trying again, every ${wait / 1000} s.`,
  );
  retry = setTimeout(start, wait);
}

function start() {
  stop();
  source = new EventSource("api/events");
  source.onmessage = received;
  source.onerror = lost;
  watch();
}

function stop() {
  clearTimeout(watchdog);
  clearTimeout(retry);
  source?.close();
  source = null;
}

// Nobody looks at a hidden page: it costs the proxy nothing.
document.addEventListener("visibilitychange", () => (document.hidden ? stop() : start()));
startAsking();
startExplain();
start();
