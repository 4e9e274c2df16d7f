// The rollouts of the rules: where each stands, what its gates say, and what has happened.

import { announce, byId, h, keyed, look, say, shareBar } from "./dom.js";
import { steering } from "./steer.js";
import { colour, serviceOf } from "./versions.js";
import { duration, moment, percent, share } from "./words.js";

const PHASES = {
  pending: ["Not begun", ""],
  progressing: ["Progressing", "run"],
  waiting: ["Waiting for you", "warn"],
  paused: ["Paused", "warn"],
  promoted: ["Promoted", "ok"],
  rolled_back: ["Rolled back", "bad"],
};
const OUTCOMES = { holds: ["✓", "ok", "holds"], fails: ["✕", "bad", "fails"] };
const NOT_JUDGED = ["–", "none", "no verdict"];

const SCROLL_FROM = 4; // steps: on a phone more are scrolled sideways, by keyboard, too

export function showRollouts({ rollouts = [] }) {
  byId("rollouts").hidden = !rollouts.length;
  keyed(
    byId("rollouts-body"),
    rollouts,
    (one) => JSON.stringify([one.rollout, one.route, one.rule, one.from, one.to, one.steps]),
    card,
  );
}

function card(first) {
  const title = h("h3", { tabIndex: -1 }, first.rollout),
    phase = h("span.pill"),
    reason = h("span.reason"),
    obstacle = h("p.notice.warn", { hidden: true });
  const weights = shareBar("Weight"),
    legend = h("p.legend"),
    steps = h("ol.steps", { ariaLabel: "Steps", ...(first.steps.length > SCROLL_FROM ? { tabIndex: 0 } : {}) }),
    gatesTitle = h("h4"),
    gates = h("ul.gates", { ariaLabel: "Gates" });
  const buttons = steering(first.rollout, title),
    past = journal(`api/rollouts/${encodeURIComponent(first.rollout)}`);
  const node = h(
    "article.card.rollout",
    {},
    h(
      "header",
      {},
      title,
      phase,
      reason,
      h("span.muted.where", {}, `${first.route} / ${first.rule || "no rule"}`),
    ),
    obstacle,
    h(
      "div.halves",
      {},
      h("div", {}, weights.node, legend, steps),
      h("div", {}, gatesTitle, first.gates.length ? gates : h("p.muted", {}, "None: it goes on by time alone.")),
    ),
    ...buttons.nodes,
    past.node,
  );
  let before = "";
  return {
    node,
    show(one) {
      const service = serviceOf(one.route);
      const [from, to] = [colour(service?.service, one.from, 0), colour(service?.service, one.to, 1)];
      const [text, kind] = PHASES[one.phase] ?? [one.phase, ""];
      say(phase, text);
      look(phase, `pill ${kind}`);
      say(reason, one.phase === "progressing" ? held(one) : one.reason);
      obstacle.hidden = !one.obstacle;
      say(obstacle, one.obstacle ? `The rule file cannot be changed: ${one.obstacle}` : "");
      const live = one.live_weight ?? one.weight;
      weights.show([
        [from, 100 - live, `${one.from} ${share(1 - live / 100)}`],
        [to, live, `${one.to} ${share(live / 100)}`],
      ]);
      keyed(legend, [[one.from, from, 1 - live / 100, one], [one.to, to, live / 100, one]], ([name]) => name, part);
      look(steps, `steps ${to}`);
      showSteps(steps, one);
      say(gatesTitle, ["promoted", "rolled_back"].includes(one.phase) ? "Gates, as last judged" : "Gates");
      keyed(
        gates,
        one.gates.map((gate, at) => ({ ...gate, at })),
        (gate) => `${gate.at} ${gate.gate}`,
        gateLine,
      );
      buttons.show(one);
      const now = `${one.phase} ${one.step} ${one.reason}`;
      if (before && now !== before) {
        announce(`Rollout ${one.rollout}: ${text}, step ${one.step} of ${one.steps.length}`);
        past.again();
      }
      before = now;
    },
  };
}

const held = (one) => {
  if (!one.hold_s) return "";
  if (one.held_s >= one.hold_s) return `held ${duration(one.hold_s)}, waits for its gates`;
  return `${duration(one.hold_s - one.held_s)} of ${duration(one.hold_s)} left in step ${one.step} of ${one.steps.length}`;
};

/** A version, its weight, and what it got by the rule. */
function part([name, hue]) {
  const weight = h("strong"),
    got = h("span.muted");
  return {
    node: h("span.part", {}, h(`i.swatch.${hue}`, { ariaHidden: "true" }), `${name} `, weight, got),
    show([, , part, { route, rule }]) {
      say(weight, share(part));
      const taken = serviceOf(route)?.rules.find((one) => one.route === route && one.rule === rule)?.taken ?? {};
      const all = Object.values(taken).reduce((sum, one) => sum + one, 0);
      say(got, all ? ` got ${percent((taken[name] ?? 0) / all)}` : "");
    },
  };
}

/** What has happened, the latest first; fetched while somebody looks. */
function journal(path) {
  const into = h("ol.journal", { tabIndex: 0, ariaLabel: "What happened" });
  const node = h("details", {}, h("summary", {}, "What happened"), into);
  const again = () => node.open && tell(path, into);
  node.addEventListener("toggle", again);
  return { node, again };
}

async function tell(path, into) {
  try {
    const { journal } = await (await fetch(path)).json();
    into.replaceChildren(
      ...journal
        .reverse()
        .map((entry) =>
          h(
            "li",
            {},
            h("span.muted", {}, moment(entry.at)),
            " ",
            h("strong", {}, entry.event.replace("_", " ")),
            ` ${entry.text}`,
            h("span.muted", {}, entry.by ? ` (${entry.by})` : ""),
          ),
        ),
    );
  } catch {
    into.replaceChildren(h("li", {}, "It could not be fetched; close this and open it again."));
  }
}

function showSteps(list, one) {
  const none = one.phase === "rolled_back" || one.phase === "pending",
    done = one.phase === "promoted";
  const states = one.steps.map((step, at) => {
    const state = none ? "to come" : done || at + 1 < one.step ? "done" : at + 1 === one.step ? "now" : "to come";
    const part = state === "done" ? 1 : state === "now" && one.hold_s ? Math.min(one.held_s / one.hold_s, 1) : 0;
    return { ...step, at, state, part };
  });
  keyed(list, states, (step) => step.at, stepMark);
}

function stepMark(first) {
  const words = h("span.for-ears");
  const hold = [first.hold_s ? duration(first.hold_s) : "", first.pause ? "then waits" : ""].filter(Boolean).join(", ");
  const node = h(
    "li",
    {},
    h("span.dot", { ariaHidden: "true" }),
    h("span.weight", {}, share(first.weight / 100)),
    h("span.muted", {}, hold),
    words,
  );
  return {
    node,
    show({ state, part }) {
      look(node, { done: "done", now: "current" }[state] ?? "");
      if (state === "now") node.setAttribute("aria-current", "step");
      else node.removeAttribute("aria-current");
      node.style.setProperty("--part", part);
      say(words, state);
    },
  };
}

function gateLine(first) {
  const mark = h("span.mark"),
    text = h("span.muted");
  return {
    node: h("li", {}, mark, h("span", {}, h("code", {}, first.gate), " ", text)),
    show(gate) {
      const [glyph, kind, words] = OUTCOMES[gate.outcome] ?? NOT_JUDGED;
      look(mark, `mark ${kind}`);
      say(mark, `${glyph} ${words}`);
      say(text, gate.text);
    },
  };
}
