// A person's word in a rollout: which buttons there are in which phase, and what each of them does.

import { change } from "./change.js";
import { h, look, say } from "./dom.js";
import { share } from "./words.js";

const GOING = ["progressing", "waiting", "paused"];
const DONE_MS = 8000; // what was done is soon seen in the rest
const SAME = 1e-4; // percent, as in the plan

/** The weight of the step that `promote` goes to; null if it ends the rollout. */
function next(one) {
  const here = one.steps[one.step - 1];
  const on = here && Math.abs(here.weight - one.weight) < SAME;
  const step = on ? one.steps[one.step] : one.steps.find((step) => step.weight >= one.weight - SAME);
  return step ? step.weight : null;
}

const last = (one) => one.steps.at(-1).weight;

// verb: as on the command line. main: in which phase it is what one would do next. sure: what is asked before.
const VERBS = [
  {
    verb: "promote",
    text: (one) => (next(one) === null ? "Promote" : `Promote to ${share(next(one) / 100)}`),
    phases: GOING,
    main: "waiting",
  },
  { verb: "resume", text: () => "Resume", phases: ["paused"], main: "paused" },
  { verb: "pause", text: () => "Pause", phases: ["progressing", "waiting"] },
  {
    verb: "set-weight",
    text: () => "Set weight …",
    phases: ["pending", ...GOING, "promoted", "rolled_back"],
    sure: (one) => ({
      text: `The rollout pauses there, until somebody resumes or promotes it. The rule file is changed at once.`,
      button: "Set weight",
      weight: { label: `Weight of ${one.to} in percent`, value: one.weight },
    }),
  },
  {
    verb: "promote",
    full: true,
    text: () => "Promote fully …",
    phases: GOING,
    sure: (one) => ({ text: `${one.to} gets ${share(last(one) / 100)} at once, whatever the gates say.`, button: "Promote fully" }),
  },
  {
    verb: "retry",
    text: () => "Start again …",
    phases: ["paused", "promoted", "rolled_back"],
    sure: (one) => ({ text: `${one.to} gets ${share(one.steps[0].weight / 100)}, the weight of the first step.`, button: "Start again" }),
  },
  {
    verb: "abort",
    text: () => "Roll back …",
    phases: ["pending", ...GOING, "promoted"],
    danger: true,
    sure: (one) => ({ text: `${one.to} gets nothing more, and all of it goes to ${one.from}.`, button: "Roll back" }),
  },
];

/** The buttons of one rollout. home: what is focused when a button goes away with its phase. */
export function steering(name, home) {
  const answer = h("p.answer", { role: "status" });
  const row = h("div.buttons", { role: "group", ariaLabel: `Steer ${name}` });
  let latest = null,
    forgotten = 0;
  const path = (verb, weight) =>
    `api/rollouts/${encodeURIComponent(name)}/${verb.verb}` +
    (verb.full ? "?full=true" : verb.verb === "set-weight" ? `?weight=${weight}` : "");
  const act = async (verb) => {
    const asked = verb.sure && {
      ...verb.sure(latest),
      title: `${verb.text(latest).replace(" …", "")}: ${name}`,
      danger: verb.danger,
      command: (weight) => command(verb, name, weight),
    };
    const words = verb.text(latest).replace(" …", "");
    for (const { node } of buttons) node.disabled = true;
    const trouble = await change((weight) => path(verb, weight), asked);
    for (const { node } of buttons) node.disabled = false;
    if (trouble !== null) say(answer, trouble || `${words}: done.`);
    clearTimeout(forgotten);
    if (!trouble) forgotten = setTimeout(() => say(answer, ""), DONE_MS);
    look(answer, trouble ? "answer bad" : "answer");
    const pressed = buttons.find((one) => one.verb === verb).node;
    (pressed.hidden ? home : pressed).focus();
  };
  const buttons = VERBS.map((verb) => {
    const node = h("button", { type: "button" });
    node.addEventListener("click", () => act(verb));
    return { verb, node };
  });
  row.append(...buttons.map((one) => one.node));
  return {
    nodes: [row, answer],
    show(one) {
      latest = one;
      for (const { verb, node } of buttons) {
        node.hidden = !verb.phases.includes(one.phase);
        say(node, verb.text(one));
        look(node, verb.danger ? "danger" : verb.main === one.phase ? "main" : "");
        if (node.hidden && document.activeElement === node) home.focus();
      }
    },
  };
}

function command(verb, name, weight) {
  const word = /^[\w./-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
  const more = verb.full ? " --full" : verb.verb === "set-weight" ? ` ${weight}` : "";
  return `grayhound rollout ${verb.verb} ${word}${more}`;
}
