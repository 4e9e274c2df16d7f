// A change by way of the admin port: asked of a person first where it matters, and with the token where one is needed.

import { byId, say } from "./dom.js";

let token = ""; // of this page alone: nothing keeps it

/** Ask for a change. `sure`: what is asked before. What went wrong, in words; empty if it is done, null if it was called off. */
export async function change(path, sure) {
  if (sure && !(await ask(sure))) return null;
  for (let refused = false; ; refused = true) {
    let response;
    try {
      response = await fetch(path, { method: "POST", headers: token ? { Authorization: `Bearer ${token}` } : {} });
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
    if (!(await ask({ title: "Token", text, button: "Go on", token: true }))) return null;
    token = byId("ask-token").value.trim();
    byId("ask-token").value = "";
  }
}

/** Whether a person says yes. */
function ask({ title, text, button, danger = false, token: wanted = false }) {
  const dialog = byId("ask"),
    yes = byId("ask-yes");
  say(byId("ask-title"), title);
  say(byId("ask-text"), text);
  say(yes, button);
  yes.className = danger ? "danger" : "";
  byId("ask-token-field").hidden = !wanted;
  dialog.returnValue = "";
  dialog.showModal();
  (wanted ? byId("ask-token") : byId("ask-no")).focus();
  return new Promise((told) =>
    dialog.addEventListener("close", () => told(dialog.returnValue === "yes"), { once: true }),
  );
}

export function startAsking() {
  byId("ask-no").addEventListener("click", () => byId("ask").close());
  byId("ask-form").addEventListener("submit", (event) => {
    event.preventDefault();
    byId("ask").close("yes");
  });
}
