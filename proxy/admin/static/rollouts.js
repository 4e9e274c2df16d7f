// The rollouts of the rules, where there are any.

import { byId } from "./dom.js";

export function showRollouts({ rollouts = [] }) {
  byId("rollouts").hidden = !rollouts.length;
}
