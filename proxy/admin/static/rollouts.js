// The rollouts of the rules: where each stands, what its gates say, and a person's word in it.

import { change } from "./change.js";
import { announce, byId, h, keyed, say } from "./dom.js";
import { clock, duration, share } from "./words.js";

const PHASES = {
  pending: ["Not begun", ""],
  progressing: ["Progressing", "ok"],
  waiting: ["Waiting for you", "warn"],
  paused: ["Paused", "warn"],
  promoted: ["Promoted", "ok"],
  rolled_back: ["Rolled back", "bad"],
};
const OUTCOMES = { holds: ["✓", "ok", "holds"], fails: ["✕", "bad", "fails"] };
const NOT_JUDGED = ["–", "none", "no verdict"];
const GOING = ["progressing", "waiting", "paused"];

// verb, its button, in which phases; whether it is asked again, and how
const VERBS = [
  { verb: "promote", text: "Next step", phases: GOING },
  { verb: "resume", text: "Resume", phases: ["paused"], look: "quiet" },
  { verb: "pause", text: "Pause", phases: ["progressing", "waiting"], look: "quiet" },
  {
    verb: "promote",
    text: "Promote fully",
    phases: GOING,
    look: "quiet",
    query: "?full=true",
    sure: (one) => `${one.to} gets the weight of the last step at once, whatever the gates say.`,
  },
  { verb: "retry", text: "Start again", phases: ["paused", "rolled_back"], look: "quiet" },
  {
    verb: "abort",
    text: "Roll back",
    phases: ["pending", ...GOING, "promoted"],
    look: "danger",
    sure: (one) => `${one.to} gets nothing more, and all of it goes to ${one.from}.`,
  },
];

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
    phase = h("p.pill");
  const what = h("p.muted"),
    reason = h("p"),
    obstacle = h("p.notice.warn", { hidden: true }),
    answer = h("p.answer", { role: "status" });
  const steps = h("ol.steps", { ariaLabel: "Steps" }),
    held = h("progress", { hidden: true }),
    heldText = h("p.muted");
  const gates = h("ul.gates", { ariaLabel: "Gates" }),
    journal = h("ol.journal");
  const more = h("details", {}, h("summary", {}, "What happened"), journal);
  const path = `api/rollouts/${encodeURIComponent(first.rollout)}`;
  let latest = first,
    before = "";
  more.addEventListener("toggle", () => more.open && tell(path, journal));
  const act = async (verb) => {
    const sure = verb.sure && {
      title: `${verb.text}: ${first.rollout}`,
      text: verb.sure(latest),
      button: verb.text,
      danger: verb.look === "danger",
    };
    const said = await change(`${path}/${verb.verb}${verb.query ?? ""}`, sure);
    if (said !== null) say(answer, said || `${verb.text}: done.`);
    answer.classList.toggle("bad", Boolean(said));
    if (document.activeElement === document.body) title.focus(); // the button has gone with its phase
  };
  const buttons = VERBS.map((verb) => {
    const node = h(`button${verb.look ? `.${verb.look}` : ""}`, { type: "button" }, verb.text);
    node.addEventListener("click", () => act(verb));
    return { verb, node };
  });
  const buttonRow = h("div.buttons", { role: "group", ariaLabel: `Steer ${first.rollout}` });
  buttonRow.append(...buttons.map((one) => one.node));
  const node = h(
    "article.card.rollout",
    {},
    h("header", {}, title, phase),
    h(
      "div.halves",
      {},
      h("div", {}, what, steps, held, heldText),
      h("div", {}, reason, obstacle, gates, buttonRow, answer),
    ),
    more,
  );
  return {
    node,
    show(one) {
      latest = one;
      const [text, look] = PHASES[one.phase] ?? [one.phase, ""];
      say(phase, text);
      phase.className = `pill ${look}`;
      const now = `${one.phase} ${one.step} ${one.reason}`;
      if (before && now !== before) {
        announce(`Rollout ${one.rollout}: ${text}, step ${one.step} of ${one.steps.length}`);
        if (more.open) tell(path, journal);
      }
      before = now;
      const where = `${one.route} / ${one.rule || "no rule"}: from ${one.from} to ${one.to}`;
      say(what, one.live_weight === null ? where : `${where}, which has ${share(one.live_weight / 100)}`);
      showSteps(steps, one);
      const holding = one.phase === "progressing" && one.hold_s > 0;
      held.hidden = !holding;
      held.max = Math.max(one.hold_s, 1);
      held.value = Math.min(one.held_s, one.hold_s);
      held.ariaLabel = `Step ${one.step} of ${one.steps.length}`;
      say(heldText, holding ? `Held ${duration(one.held_s)} of ${duration(one.hold_s)}` : "");
      say(reason, one.reason);
      obstacle.hidden = !one.obstacle;
      say(obstacle, one.obstacle ?? "");
      keyed(
        gates,
        one.gates.map((gate, at) => ({ ...gate, at })),
        (gate) => `${gate.at} ${gate.gate}`,
        gateLine,
      );
      for (const { verb, node: button } of buttons) button.hidden = !verb.phases.includes(one.phase);
    },
  };
}

/** The journal, the latest first. */
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
            h("span.muted", {}, clock(entry.at)),
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
  const back = one.phase === "rolled_back";
  const states = one.steps.map((step, at) => {
    const done = !back && (at + 1 < one.step || one.phase === "promoted");
    return { ...step, at, state: done ? "done" : !back && at + 1 === one.step ? "now" : "to come" };
  });
  keyed(list, states, (step) => step.at, stepMark);
}

function stepMark(first) {
  const words = h("span.for-ears");
  const hold = first.pause ? "waits" : first.hold_s ? duration(first.hold_s) : "";
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
    show({ state }) {
      node.className = { done: "done", now: "current" }[state] ?? "";
      if (state === "now") node.setAttribute("aria-current", "step");
      else node.removeAttribute("aria-current");
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
      const [glyph, look, words] = OUTCOMES[gate.outcome] ?? NOT_JUDGED;
      mark.className = `mark ${look}`;
      say(mark, `${glyph} ${words}`);
      say(text, gate.text);
    },
  };
}
