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

/** As `say`, for classes. */
export function look(node, classes) {
  if (node.className !== classes) node.className = classes;
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

/** Parts of a whole, side by side in the colours of their versions. parts: [class, size, words]. */
export function shareBar(title) {
  const node = h("span.shares", { role: "img" });
  return {
    node,
    show(parts) {
      const known = parts.filter(([, size]) => size);
      node.classList.toggle("none", !known.length);
      node.ariaLabel = known.length ? `${title}: ${known.map(([, , words]) => words).join(", ")}` : "No requests";
      while (node.childElementCount > parts.length) node.lastElementChild.remove();
      while (node.childElementCount < parts.length) node.append(h("span"));
      parts.forEach(([colour, size], at) => {
        look(node.children[at], colour);
        node.children[at].hidden = !size;
        node.children[at].style.flexGrow = 100 * (size || 0); // with less than 1 in all, some room would stay empty
      });
    },
  };
}
