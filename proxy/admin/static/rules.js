// What is wrong with the rule file, line by line. Without a fault or a warning there is nothing to see.

import { announce, byId, h, keyed, say } from "./dom.js";
import { count, plural } from "./words.js";

let told = null;

export function showRules({ config }) {
  const { faults, warnings } = (byId("rules-body").parts ??= build(byId("rules-body")));
  const refused = config.result === "refused";
  byId("rules").hidden = !refused && !config.warnings.length;
  faults.show(
    refused ? config.faults : [],
    config.faults_left_out,
    `The last file was refused: ${plural(config.faults.length + config.faults_left_out, "fault")}. ` +
      (config.generation ? `Generation ${count(config.generation)} keeps serving.` : "Nothing is served."),
  );
  warnings.show(
    config.warnings,
    config.warnings_left_out,
    plural(config.warnings.length + config.warnings_left_out, "warning"),
  );
  const state = `${config.result} ${config.hash} ${config.at}`;
  if (told !== null && told !== state && refused)
    announce(
      `The rule file was refused: ${plural(config.faults.length, "fault")}, first in line ${config.faults[0]?.line ?? "?"}`,
    );
  told = state;
}

function build(body) {
  const faults = list("fault", h("div.notice.bad.faults", { hidden: true }), (text) =>
    h("p", {}, h("strong", {}, text)),
  );
  const warnings = list("warning", h("details.notice.warn.faults", { hidden: true }), (text) => h("summary", {}, text));
  body.append(faults.node, warnings.node);
  return { faults, warnings };
}

/** Faults or warnings, each with its place in the file, and what stands there. */
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
        (one) => JSON.stringify(one),
        (one) => ({ node: fault(kind, one), show() {} }),
      );
      more.hidden = !leftOut;
      say(more, `and ${count(leftOut)} more; /api/config has all`);
    },
  };
}

function fault(kind, one) {
  const name = one.file.slice(one.file.lastIndexOf("/") + 1);
  return h(
    `li.${kind}`,
    {},
    h("p.what", {}, one.text),
    h(
      "p.where",
      {},
      h("code.place", { title: one.file }, `${name}:${one.line}:${one.column}`),
      ...(one.path ? [" ", h("code.path", {}, one.path)] : []),
    ),
    ...(one.source ? [source(one)] : []),
  );
}

const CLOSING = { "{": "}", "[": "]" };

/** What begins a text: a word, or all within brackets. */
function first(text) {
  const [open, close] = [text[0], CLOSING[text[0]]];
  if (!close) return /^(?:[\p{L}\p{N}_-]+|.?)/u.exec(text)[0];
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    depth += (text[at] === open) - (text[at] === close);
    if (!depth) return text.slice(0, at + 1);
  }
  return text;
}

/** The line, with what the fault is about marked. */
function source({ line, column, source: text }) {
  const indent = text.length - text.trimStart().length;
  const at = Math.max(column - 1, indent);
  const word = first(text.slice(at));
  return h(
    "pre.source",
    {},
    h("span.number", { ariaHidden: "true" }, String(line)),
    h("code", {}, text.slice(indent, at), h("mark", {}, word), text.slice(at + word.length)),
  );
}
