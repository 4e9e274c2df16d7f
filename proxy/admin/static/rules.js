// What holds for the whole container: is it ready, how much does it carry, what became of the rule file.

import { announce, byId, h, keyed, say, sparkline } from "./dom.js";
import { ERRORS_MANY, ago, count, percent, plural, rate } from "./words.js";

export function showReady({ unready, config }) {
  const pill = byId("ready");
  const trouble = unready.length ? "Not ready" : config.result === "refused" ? "Ready, last rules refused" : "Ready";
  pill.hidden = false;
  pill.className = `pill ${unready.length ? "bad" : config.result === "refused" ? "warn" : "ok"}`;
  pill.title = unready.join("; ");
  say(pill, trouble);
}

const FIGURES = [
  ["Requests a second", ({ rate: value }) => [rate(value), value]],
  ["Errors (5xx)", ({ error_rate: value }) => [percent(value), value]],
  ["In flight", ({ in_flight: value }) => [count(value), value]],
  ["Client connections", ({ connections: value }) => [count(value), value]],
];

export function showTotals({ totals }) {
  const figures = FIGURES.map(([name, read]) => [name, ...read(totals)]);
  keyed(
    byId("totals"),
    figures,
    ([name]) => name,
    ([name]) => {
      const errors = name.startsWith("Errors");
      const value = h("dd");
      const spark = sparkline(errors ? "errors" : "");
      const node = h("div", {}, h("dt", {}, name), value, spark.node);
      return {
        node,
        show([, text, number]) {
          say(value, text);
          node.classList.toggle("bad", errors && number >= ERRORS_MANY);
          spark.add(number, errors ? 0.05 : 1);
        },
      };
    },
  );
}

let told = null;

export function showRules({ at, config }) {
  const section = byId("rules");
  section.hidden = false;
  const body = byId("rules-body");
  if (!body.parts) body.parts = build(body);
  const { line, faults, warnings } = body.parts;
  const behind = config.workers.filter((worker) => worker.generation !== config.generation).length;
  const workers = behind
    ? `${plural(behind, "worker")} still on earlier rules`
    : `on ${plural(config.workers.length, "worker")}`;
  const read = config.result
    ? `last read ${ago(at - config.at)}: ${config.result === "ok" ? "taken" : config.result}`
    : "not read yet";
  say(line, `Generation ${config.generation} is in use ${workers}; ${read}.`);
  line.title = config.hash ? `SHA-256 ${config.hash}` : "";
  faults.show(
    config.result === "refused" ? config.faults : [],
    config.faults_left_out,
    `The file was refused. Generation ${config.generation} keeps serving.`,
  );
  warnings.show(
    config.warnings,
    config.warnings_left_out,
    plural(config.warnings.length + config.warnings_left_out, "warning"),
  );
  const state = `${config.result} ${config.hash} ${config.at}`;
  if (told !== null && told !== state && config.result === "refused")
    announce(
      `The rule file was refused: ${plural(config.faults.length, "fault")}, first in line ${config.faults[0]?.line ?? "?"}`,
    );
  told = state;
}

function build(body) {
  const line = h("p.rules-line");
  const faults = list("fault", h("div.notice.bad.faults", { hidden: true }), (text) =>
    h("p", {}, h("strong", {}, text)),
  );
  const warnings = list("warning", h("details.notice.warn.faults", { hidden: true }), (text) => h("summary", {}, text));
  body.append(line, faults.node, warnings.node);
  return { line, faults, warnings };
}

/** Faults or warnings, each with its place in the file. */
function list(kind, node, makeTitle) {
  const title = makeTitle("");
  const items = h("ol");
  const more = h("p.muted", { hidden: true });
  node.append(title, items, more);
  return {
    node,
    show(found, leftOut, text) {
      node.hidden = !found.length;
      say(title.firstElementChild ?? title, text);
      keyed(
        items,
        found,
        (one) => `${one.line}:${one.column}:${one.path}:${one.text}`,
        (one) => ({
          node: h(
            `li.${kind}`,
            {},
            h("code.place", {}, `${one.file}:${one.line}:${one.column}`),
            ...(one.path ? [" ", h("code.path", {}, one.path)] : []),
            h("span.what", {}, one.text),
          ),
          show() {},
        }),
      );
      more.hidden = !leftOut;
      say(more, `and ${count(leftOut)} more; /api/config has all`);
    },
  };
}
