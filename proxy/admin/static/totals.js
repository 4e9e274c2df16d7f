// What holds for the whole container: is it ready, how much does it carry, which rules are in use.

import { sparkline } from "./charts.js";
import { byId, h, keyed, look, say } from "./dom.js";
import { ERRORS_MANY, ago, count, percent, plural, rate } from "./words.js";

export function showReady({ unready, config }) {
  const pill = byId("ready");
  const refused = config.result === "refused";
  pill.hidden = false;
  look(pill, `pill ${unready.length ? "bad" : refused ? "warn" : "ok"}`);
  say(pill, unready.length ? "Not ready" : refused ? "Ready, last rules refused" : "Ready");
  byId("unready").hidden = !unready.length;
  say(byId("unready"), unready.length ? `No traffic should come here: ${unready.join("; ")}.` : "");
}

const FIGURES = [
  { name: "Requests/s", read: ({ rate: value }) => [rate(value), value] },
  { name: "Errors (5xx)", read: ({ error_rate: value }) => [percent(value), value], errors: true },
  { name: "In flight", read: ({ in_flight: value }) => [count(value), value] },
  { name: "Client connections", read: ({ connections: value }) => [count(value), value] },
];

export function showTotals(snapshot) {
  const figures = FIGURES.map((one) => ({ ...one, figure: one.read(snapshot.totals) }));
  keyed(
    byId("totals"),
    [...figures, { name: "Rules", snapshot }],
    (one) => one.name,
    (one) => (one.snapshot ? rules(one) : figure(one)),
  );
}

function figure({ name, errors }) {
  const value = h("dd");
  const spark = sparkline(errors ? "errors" : "plain");
  const node = h("div", {}, h("dt", {}, name), value, spark.node);
  return {
    node,
    show({ figure: [text, number] }) {
      say(value, text);
      node.classList.toggle("bad", Boolean(errors) && number >= ERRORS_MANY);
      spark.add(number, errors ? 0.05 : 1);
    },
  };
}

const RESULTS = { ok: "taken", unchanged: "read again", refused: "the last file was refused" };

function rules({ name }) {
  const value = h("dd"),
    read = h("dd.more");
  return {
    node: h("div.of-rules", {}, h("dt", {}, name), value, read),
    show({ snapshot: { at, config } }) {
      say(value, config.generation ? `Generation ${count(config.generation)}` : "None yet");
      value.title = config.hash ? `SHA-256 ${config.hash}` : "";
      const behind = config.workers.filter((worker) => worker.generation !== config.generation).length;
      const workers = behind
        ? `${plural(behind, "worker")} still on earlier rules`
        : `on ${plural(config.workers.length, "worker")}`;
      say(read, config.result ? `${RESULTS[config.result]} ${ago(at - config.at)}, ${workers}` : "not read yet");
      look(read, `more ${config.result === "refused" || behind ? "warn" : ""}`);
    },
  };
}
