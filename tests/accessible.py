"""Whether everybody can use a page: contrast, structure and names, as far as a machine can tell."""

from __future__ import annotations

from typing import Any

from tests.browser import Page

CONTRAST_MIN = 4.5
"""WCAG 2.2, AA, for text of any size."""
MARK_MIN = 3.0
"""The same, for what is no text but means something: borders of fields, colours of versions."""
TOUCH_MIN = 24
"""Pixels, as there: what a finger still finds."""
NAMED = {"button", "link", "textbox", "combobox", "searchbox", "checkbox", "slider", "spinbutton", "DisclosureTriangle",
         "region", "table", "image", "dialog", "navigation"}  # fmt: skip
"""Roles that mean nothing without a name."""

LIGHT = """
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const colour = numbers(getComputedStyle(node).backgroundColor);
      if (colour[3] !== 0) return colour;
    }
    return [255, 255, 255];
  };
  const ratio = (one, other) => {
    const [high, low] = [light(numbers(one)), light(other)].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };
"""
FAINT = f"""(() => {{{LIGHT}
  const texts = [...document.querySelectorAll("body *")].filter((node) => node.checkVisibility()
    && !node.closest(".for-ears, svg, :disabled")
    && [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim()));
  return texts.map((node) => [node.textContent.trim().slice(0, 40), ratio(getComputedStyle(node).color, ground(node))]);
}})()"""
DIM = f"""(() => {{{LIGHT}
  const shown = (selector) => [...document.querySelectorAll(selector)].filter((node) => node.checkVisibility());
  const stands = (node, ...colours) => {{
    const around = ground((node.closest("svg") ?? node).parentElement);
    return [`${{node.tagName}} ${{node.getAttribute("class")}}`, Math.max(...colours.map((one) => ratio(one, around)))];
  }};
  const style = getComputedStyle;
  return [
    ...shown("input, select, textarea, button").map((node) =>
      stands(node, style(node).borderTopColor, style(node).backgroundColor)),
    ...shown(".swatch").map((node) => stands(node, style(node).backgroundColor)),
    ...shown(".spark .line, .spread .span").map((node) => stands(node, style(node).stroke)),
    ...shown(".steps .dot").map((node) => stands(node, style(node).borderTopColor)),
  ];
}})()"""
MISBUILT = """(() => {
  const wrong = [];
  const all = (selector) => [...document.querySelectorAll(selector)].filter((node) => node.checkVisibility());
  const short = (node) => node.outerHTML.slice(0, 80);
  let level = 0;
  for (const node of all("h1, h2, h3, h4")) {
    const next = Number(node.tagName[1]);
    if (next > level + 1) wrong.push(`h${next} after h${level}: ${node.textContent}`);
    level = next;
  }
  const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
  if (new Set(ids).size !== ids.length) wrong.push("an id stands twice");
  for (const name of ["aria-labelledby", "aria-describedby", "for"])
    for (const node of document.querySelectorAll(`[${name}]`))
      if (!document.getElementById(node.getAttribute(name))) wrong.push(`${name} of ${short(node)}`);
  for (const tag of ["body > header", "main", "body > footer", "h1"])
    if (all(tag).length !== 1) wrong.push(`not one ${tag}`);
  if (!document.documentElement.lang) wrong.push("no language");
  for (const node of all("[tabindex]")) if (node.tabIndex > 0) wrong.push(`a tab order of its own: ${short(node)}`);
  for (const node of all("[aria-hidden] :is(a, button, input, [tabindex])")) wrong.push(`unseen: ${short(node)}`);
  for (const node of all(":is(a, button, summary) :is(a, button, input, select, summary)"))
    wrong.push(`one control in another: ${short(node)}`);
  for (const node of all("body *:not(textarea)")) {
    const { overflowX, overflowY } = getComputedStyle(node);
    const scrolls = (way, inner, outer) => ["auto", "scroll"].includes(way) && inner > outer;
    if (node.tabIndex < 0 && (scrolls(overflowX, node.scrollWidth, node.clientWidth)
        || scrolls(overflowY, node.scrollHeight, node.clientHeight)))
      wrong.push(`not scrolled by keys: ${short(node)}`);
  }
  for (const node of all("img:not([alt])")) wrong.push(`no alt: ${short(node)}`);
  for (const node of all("button, input, select, textarea, summary, nav a"))
    if (node.getBoundingClientRect().height < TOUCH_MIN) wrong.push(`too small to touch: ${short(node)}`);
  return wrong;
})()"""


async def faint(page: Page) -> list[str]:
    """Texts that stand out too little from their ground."""
    texts = await page.run(FAINT)
    assert texts
    return [f"{text}: {ratio:.2f}" for text, ratio in texts if ratio < CONTRAST_MIN]


async def dim(page: Page) -> list[str]:
    """Marks that stand out too little from what is around them."""
    marks = await page.run(DIM)
    assert marks
    return [f"{mark}: {ratio:.2f}" for mark, ratio in marks if ratio < MARK_MIN]


async def misbuilt(page: Page) -> list[str]:
    """What is wrong with headings, landmarks, references and sizes."""
    wrong: list[str] = await page.run(MISBUILT.replace("TOUCH_MIN", str(TOUCH_MIN)))
    return wrong


async def unnamed(page: Page) -> list[str]:
    """What a screen reader could not call by a name."""
    tree = (await page.do("Accessibility.getFullAXTree"))["nodes"]
    shown: list[dict[str, Any]] = [node for node in tree if not node["ignored"]]
    return [str(node) for node in shown if node["role"]["value"] in NAMED and not node.get("name", {}).get("value")]
