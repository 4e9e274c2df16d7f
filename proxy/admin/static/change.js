// A change by way of the admin port: asked of a person first where it matters, and with the token where one is needed.

import { byId, say } from "./dom.js";

let token = ""; // of this page alone: nothing keeps it

/** Ask for a change. `path` is told the weight that a person chose; `sure`: what is asked before, see `ask`.
 *  What went wrong, in words; empty if it is done, null if it was called off. */
export async function change(path, sure) {
  const chosen = sure ? await ask(sure) : 0;
  if (chosen === null) return null;
  for (let refused = false; ; refused = true) {
    let response;
    try {
      const headers = token ? { Authorization: `Bearer ${token}` } : {};
      response = await fetch(path(chosen), { method: "POST", headers });
    } catch {
      return "No answer from the admin port: it is not known whether this was done.";
    }
    if (response.ok) return "";
    if (response.status !== 401)
      return (await response.json().catch(() => ({}))).error ?? `Refused: ${response.status}`;
    const text =
      refused && token
        ? "That is not the token."
        : "A change needs the token of --admin-token-file. This page forgets it when it is closed.";
    if ((await ask({ title: "Token", text, button: "Go on", token: true })) === null) return null;
    token = byId("ask-token").value.trim();
    byId("ask-token").value = "";
  }
}

/** The weight chosen (0 where none is asked for), or null if a person calls it off. weight: {label, value} to choose one;
 *  command: what does the same in a terminal, by the weight. */
function ask({ title, text, button, danger = false, token: wanted = false, weight = null, command = null }) {
  const dialog = byId("ask"),
    yes = byId("ask-yes"),
    field = byId("ask-weight");
  say(byId("ask-title"), title);
  say(byId("ask-text"), text);
  say(yes, button);
  yes.className = danger ? "danger" : "main";
  byId("ask-token-field").hidden = !wanted;
  byId("ask-weight-field").hidden = field.disabled = !weight;
  byId("ask-command").hidden = !command;
  say(byId("ask-weight-label"), weight?.label ?? "");
  field.value = byId("ask-slider").value = weight?.value ?? 0;
  const tell = () => command && say(byId("ask-command").lastElementChild, command(field.value));
  field.oninput = () => {
    byId("ask-slider").value = field.value;
    tell();
  };
  byId("ask-slider").oninput = () => {
    field.value = byId("ask-slider").value;
    tell();
  };
  tell();
  dialog.returnValue = "";
  dialog.showModal();
  (wanted ? byId("ask-token") : weight ? field : byId("ask-no")).focus();
  if (weight) field.select();
  return new Promise((told) =>
    dialog.addEventListener("close", () => told(dialog.returnValue === "yes" ? Number(field.value) : null), {
      once: true,
    }),
  );
}

export function startAsking() {
  byId("ask-no").addEventListener("click", () => byId("ask").close());
  byId("ask-form").addEventListener("submit", (event) => {
    event.preventDefault();
    byId("ask").close("yes");
  });
}
