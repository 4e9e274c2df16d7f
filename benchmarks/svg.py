"""Charts as SVG, legible on light and dark pages: panels of lines or of bars, laid out in a grid.

Text is the browser's, so widths are estimates: FONT_PX times a little more than half for each character.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape

FONT_PX, SMALL_PX, BOLD = 13, 11, 0.7  # BOLD: wide, for each character
STYLE = """
  svg { font-family: system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; font-size: 11px }
  .page { fill: #fcfcfb; stroke: #e1e0d9 } text { fill: #52514e }
  .title, .strong { fill: #0b0b0b; font-weight: 600 } .title { font-size: 13px }
  .grid { stroke: #e9e8e2 } .axis { stroke: #a5a49c }
  .c0 { --c: #2a78d6 } .c1 { --c: #d9622b } .c2 { --c: #1a9e6e } .c3 { --c: #9257c8 } .plain { --c: #b9b8b0 }
  .line { fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round } .fill { fill: var(--c) }
  .band { fill: var(--c); opacity: .16 } .dot { fill: var(--c) } .name { fill: var(--c); font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #1a1a19; stroke: #33332f } text { fill: #c3c2b7 } .title, .strong { fill: #fff }
    .grid { stroke: #2c2c2a } .axis { stroke: #6f6e68 }
    .c0 { --c: #5598ec } .c1 { --c: #ee8350 } .c2 { --c: #3fc08d } .c3 { --c: #b98ae6 } .plain { --c: #5d5c57 }
  }
"""


@dataclass(frozen=True, slots=True)
class Line:
    """points: x and y. band: lowest and highest y at each x."""

    name: str
    points: list[tuple[float, float]]
    band: list[tuple[float, float]] | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """text: what stands behind it. strong: the one it is about."""

    name: str
    value: float
    text: str
    strong: bool = False


Panel = Callable[[float, float], str]
"""Draws itself at the origin, so wide and so high."""


def page(panels: list[Panel], columns: int, width: float, height: float, title: str = "") -> str:
    """A grid of panels, each of this size."""
    margin, gap, head = 20.0, 28.0, 26.0 if title else 0.0
    rows = math.ceil(len(panels) / columns)
    all_wide = 2 * margin + columns * width + (columns - 1) * gap
    all_high = 2 * margin + head + rows * height + (rows - 1) * gap
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {all_wide:g} {all_high:g}" width="{all_wide:g}">',
        f"<style>{STYLE}</style>",
        f'<rect class="page" x=".5" y=".5" width="{all_wide - 1:g}" height="{all_high - 1:g}" rx="8"/>',
        text(margin, margin + FONT_PX - 2, title, "title") if title else "",
    ]
    for number, panel in enumerate(panels):
        x = margin + number % columns * (width + gap)
        y = margin + head + number // columns * (height + gap)
        parts.append(f'<g transform="translate({x:g} {y:g})">{panel(width, height)}</g>')
    return "\n".join(filter(None, [*parts, "</svg>"])) + "\n"


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def bars(title: str, rows: list[Bar], most: float) -> Panel:
    """Horizontal, all from zero. A value above `most` fills the width, with a gap that says so."""

    def draw(width: float, height: float) -> str:
        names = max(len(row.name) for row in rows) * SMALL_PX * BOLD + 8
        room = width - names - max(len(row.text) for row in rows) * SMALL_PX * BOLD - 6
        step = (height - 24) / len(rows)
        parts = [text(0, FONT_PX, title, "title")]
        for number, row in enumerate(rows):
            y, long = 24 + number * step, max(2.0, min(row.value / most, 1.0) * room)
            kind = "strong" if row.strong else ""
            parts.append(text(names - 8, y + step / 2 + 4, row.name, kind, "end"))
            cut = row.value > most
            for left, right in ((0.0, long * 0.9), (long * 0.92, long)) if cut else ((0.0, long),):
                parts.append(
                    f'<rect class="fill {"c0" if row.strong else "plain"}" x="{names + left:.1f}" y="{y + 2:.1f}" '
                    f'width="{right - left:.1f}" height="{step - 5:.1f}" rx="2"/>'
                )
            parts.append(text(names + long + 6, y + step / 2 + 4, row.text, kind))
        return "".join(parts)

    return draw


def lines(title: str, x_name: str, unit: str, given: list[Line], log: bool = False) -> Panel:
    """y from zero to above the highest point, where bands are cut off; names stand above the plot in their colours."""

    def draw(width: float, height: float) -> str:
        left, top, bottom = 34.0, 44.0, height - 32
        marks = ticks(1.1 * max(y for line in given for _, y in line.points))
        xs = sorted({x for line in given for x, _ in line.points})
        low, high = (math.log10(xs[0]), math.log10(xs[-1])) if log else (0.0, xs[-1])

        def at(x: float, y: float) -> tuple[float, float]:
            share = ((math.log10(x) if log else x) - low) / ((high - low) or 1.0)
            return left + share * (width - left - 8), bottom - min(1.0, y / marks[-1]) * (bottom - top)

        parts = [text(0, FONT_PX, title, "title"), text(left, height - 2, x_name)]
        for mark in marks:
            y = at(xs[0], mark)[1]
            parts.append(f'<path class="{"grid" if mark else "axis"}" d="M{left} {y:.1f}H{width}"/>')
            parts.append(text(left - 6, y + 4, f"{mark:g}", anchor="end"))
        for x in xs if log else [x for x in ticks(xs[-1]) if x <= xs[-1]]:
            parts.append(text(at(x, 0)[0], bottom + 15, short(x), anchor="middle"))
        parts.append(_names(given, unit))
        for number, line in enumerate(given):
            parts.append(f'<g class="c{number % 4}">{"".join(_curve(line, at, log))}</g>')
        return "".join(parts)

    return draw


def _names(given: list[Line], unit: str) -> str:
    parts, x = [text(0, 32, unit)], len(unit) * SMALL_PX * 0.56 + 14
    for number, line in enumerate(given):
        parts.append(f'<g class="c{number % 4}">{text(x, 32, line.name, "name")}</g>')
        x += len(line.name) * SMALL_PX * 0.58 + 16
    return "".join(parts)


def _curve(line: Line, at: Callable[[float, float], tuple[float, float]], dots: bool) -> Iterable[str]:
    xs = [x for x, _ in line.points]
    if line.band:
        edge = [at(x, high) for x, (_, high) in zip(xs, line.band, strict=True)]
        edge += reversed([at(x, low) for x, (low, _) in zip(xs, line.band, strict=True)])
        yield f'<polygon class="band" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in edge)}"/>'
    points = [at(*point) for point in line.points]
    yield f'<polyline class="line" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'
    if dots:
        yield from (f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in points)


def ticks(most: float) -> list[float]:
    """Three to six round numbers from zero to just above `most`."""
    step = 10 ** math.floor(math.log10(most or 1.0))
    step = next(step * part for part in (0.2, 0.5, 1.0, 2.0) if most / (step * part) <= 5)
    return [round(step * number, 6) for number in range(math.ceil(most / step - 1e-9) + 1)]


def short(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"
