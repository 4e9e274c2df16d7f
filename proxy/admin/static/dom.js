// Elements without markup: whatever comes from rules or clients becomes text, and can be nothing else.

/** An element. `set`: its properties, or attributes where there is no such property; children: nodes and texts. */
export function h(name, set = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const node = document.createElement(tag || "div");
  if (classes.length) node.className = classes.join(" ");
  for (const [key, value] of Object.entries(set)) {
    if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

export const byId = (id) => document.getElementById(id);

/** Write only what changed: nothing is announced or painted anew for nothing. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
  return node;
}

/** Keep one child for each item, in their order. `make` gives {node, show}; `show` is told each new state of its item. */
export function keyed(container, items, key, make) {
  const known = (container.known ??= new Map());
  const wanted = new Set();
  let place = container.firstElementChild;
  for (const item of items) {
    const name = key(item);
    wanted.add(name);
    if (!known.has(name)) known.set(name, make(item));
    const part = known.get(name);
    if (part.node === place) place = place.nextElementSibling;
    else container.insertBefore(part.node, place);
    part.show(item);
  }
  for (const [name, part] of known) {
    if (wanted.has(name)) continue;
    part.node.remove();
    known.delete(name);
  }
}

/** Told once to whoever listens to the page. */
export function announce(text) {
  byId("announcer").textContent = text;
}

const SVG = "http://www.w3.org/2000/svg";
const POINTS = 90;

/** The last minute and a half of a figure, as a line. The figure itself stands beside it. */
export function sparkline(name) {
  const node = document.createElementNS(SVG, "svg");
  const line = document.createElementNS(SVG, "path");
  node.setAttribute("class", `spark ${name}`);
  node.setAttribute("viewBox", `0 0 ${POINTS - 1} 20`);
  node.setAttribute("preserveAspectRatio", "none");
  node.setAttribute("aria-hidden", "true");
  node.append(line);
  const values = [];
  return {
    node,
    add(value, top = 0) {
      values.push(value ?? null);
      if (values.length > POINTS) values.shift();
      const highest = Math.max(top, ...values) || 1;
      let path = "",
        pen = "M";
      values.forEach((one, at) => {
        if (one === null) {
          pen = "M";
          return;
        }
        path += `${pen}${POINTS - values.length + at} ${(19 - (18 * one) / highest).toFixed(1)}`;
        pen = "L";
      });
      line.setAttribute("d", path);
    },
  };
}
