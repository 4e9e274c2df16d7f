// Who is told of each snapshot, and what is said when none come.

import { startAsking } from "./change.js";
import { announce, byId, look, say } from "./dom.js";
import { startExplain } from "./explain.js";
import { showMirrors } from "./mirrors.js";
import { showRollouts } from "./rollouts.js";
import { showRules } from "./rules.js";
import { showServices, startFinding } from "./services.js";
import { follow } from "./stream.js";
import { showReady, showTotals } from "./totals.js";
import { learn } from "./versions.js";
import { clock } from "./words.js";

const PARTS = [learn, showReady, showTotals, showRules, showRollouts, showServices, showMirrors];

let lastAt = 0,
  away = false;

function received(snapshot) {
  if (away) announce("Live again");
  away = false;
  lastAt = snapshot.at;
  document.body.classList.remove("stale");
  byId("lost").hidden = true;
  showStream("stream live", "Live", clock(snapshot.at));
  for (const show of PARTS) show(snapshot);
  for (const link of document.querySelectorAll(".top nav a"))
    link.parentElement.hidden = document.querySelector(link.getAttribute("href")).hidden;
  const what = snapshot.totals.rate === 0 ? "no requests in" : "figures of";
  say(byId("window"), snapshot.services.length ? `${what} the last ${snapshot.window_s} s` : "");
  say(byId("about"), `Grayhound ${snapshot.version}`);
}

function lost(why, wait) {
  if (!away) announce("The live view is interrupted. The figures are old.");
  away = true;
  document.body.classList.add("stale");
  showStream("stream", "Not live", "");
  byId("lost").hidden = false;
  const since = lastAt ? ` What is shown is from ${clock(lastAt)}.` : "";
  const trouble = why ? `The admin port says: ${why}.` : "No answer from the proxy's admin port.";
  say(byId("lost").firstElementChild, `${trouble}${since} Trying again every ${wait / 1000}\u202fs.`);
}

function showStream(classes, text, at) {
  const [state, moment] = look(byId("stream"), classes).children;
  say(state, text);
  say(moment, at);
}

startAsking();
startExplain();
startFinding();
follow("api/events", received, lost);
