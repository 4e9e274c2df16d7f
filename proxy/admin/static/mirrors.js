// What became of copies, and how their answers differed from the real ones.

import { byId, h, keyed, say } from "./dom.js";
import { colour } from "./versions.js";
import { count, moment, percent, share } from "./words.js";

const RESULTS = {
  answered: "answered, not compared",
  same: "same",
  different: "different",
  timeout: "timed out",
  failed: "failed",
  too_large: "too large to copy",
  dropped: "dropped",
};

export function showMirrors({ mirrors }) {
  byId("mirrors").hidden = !mirrors.length;
  keyed(byId("mirrors-body"), mirrors, (one) => `${one.service} ${one.version}`, card);
}

function card(first) {
  const what = h("p.muted"),
    results = h("dl.counts"),
    differences = h("p"),
    examples = h("div.examples", { tabIndex: 0, role: "region", ariaLabel: "Answers that differed" });
  const more = h("details", {}, h("summary", {}, "Answers that differed"), examples);
  more.addEventListener("toggle", () => more.open && load(first, examples));
  const node = h(
    "article.card",
    {},
    h("header", {}, h("h3", {}, `${first.service} → ${first.version}`)),
    what,
    results,
    differences,
    more,
  );
  return {
    node,
    show(mirror) {
      say(
        what,
        mirror.rules
          .map((rule) => `${share(rule.percent / 100)} of ${rule.route} / ${rule.rule || "otherwise"}`)
          .join(", "),
      );
      keyed(
        results,
        Object.entries(mirror.requests).filter(([, number]) => number),
        ([name]) => name,
        ([name]) => {
          const value = h("dd");
          const node = h(
            name === "different" || name === "failed" || name === "timeout" ? "div.attention" : "div",
            {},
            h("dt", {}, RESULTS[name] ?? name),
            value,
          );
          return { node, show: ([, number]) => say(value, count(number)) };
        },
      );
      const { same, different } = mirror.requests;
      const kinds = Object.entries(mirror.differences)
        .filter(([, number]) => number)
        .map(([kind, number]) => `${kind} ${count(number)}`);
      say(
        differences,
        different
          ? `${percent(different / (same + different))} of the compared answers differ: ${kinds.join(", ")}.`
          : same
            ? "No compared answer differs."
            : "Nothing has been compared yet.",
      );
      more.hidden = !different;
    },
  };
}

async function load(mirror, into) {
  try {
    const all = (await (await fetch("api/mirrors")).json()).mirrors;
    const found = all.find((one) => one.service === mirror.service && one.version === mirror.version);
    into.replaceChildren(...(found?.examples ?? []).map((one) => example(mirror.service, one)));
  } catch {
    into.replaceChildren(h("p", {}, "They could not be fetched; close this and open it again."));
  }
}

function example(service, one) {
  const rows = one.differences.flatMap((kind) =>
    kind === "headers" ? fields(one) : [[kind, told(one.real, kind), told(one.mirror, kind)]],
  );
  return h(
    "article.example",
    {},
    h("p", {}, h("code", {}, `${one.method} ${one.host}${one.path}`), " ", h("span.muted", {}, moment(one.at))),
    h(
      "table",
      {},
      h("caption.for-ears", {}, "What differed"),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("td"),
          h(`th.named.${colour(service, one.real.version)}`, { scope: "col" }, `${one.real.version} (real)`),
          h(`th.named.${colour(service, one.mirror.version)}`, { scope: "col" }, `${one.mirror.version} (copy)`),
        ),
      ),
      h(
        "tbody",
        {},
        ...rows.map(([name, real, copy]) =>
          h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, real), h("td", {}, copy)),
        ),
      ),
    ),
  );
}

const told = (answer, kind) => String((kind === "body" ? answer.body_hash : answer[kind]) ?? "not known");

/** The header fields that differ. */
function fields({ real, mirror }) {
  const values = (answer, name) =>
    answer.headers
      .filter(([one]) => one === name)
      .map(([, value]) => value)
      .join(", ") || "absent";
  const names = new Set([...real.headers, ...mirror.headers].map(([name]) => name));
  return [...names]
    .map((name) => [name, values(real, name), values(mirror, name)])
    .filter(([, one, other]) => one !== other);
}
