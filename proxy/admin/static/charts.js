// Small pictures beside figures, which stand there as text: so they are not for ears.

const SVG = "http://www.w3.org/2000/svg";
const POINTS = 90;
const HEIGHT = 20;

function svg(name, set = {}) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(set)) node.setAttribute(key, value);
  return node;
}

/** The last minute and a half of a figure, the newest on the right. */
export function sparkline(look) {
  const node = svg("svg", {
    class: `spark ${look}`,
    viewBox: `0 0 ${POINTS - 1} ${HEIGHT}`,
    preserveAspectRatio: "none",
    "aria-hidden": "true",
  });
  const area = svg("path", { class: "area" }),
    line = svg("path", { class: "line" });
  node.append(area, line);
  const values = [];
  return {
    node,
    /** top: what the picture's height is at least. */
    add(value, top = 0) {
      values.push(value ?? null);
      if (values.length > POINTS) values.shift();
      const highest = Math.max(top, ...values) || 1;
      const runs = [[]];
      values.forEach((one, at) => {
        if (one === null) runs.push([]);
        else runs.at(-1).push([POINTS - values.length + at, HEIGHT - 1 - ((HEIGHT - 2) * one) / highest]);
      });
      const lines = runs.filter((run) => run.length > 1);
      const along = (run) => run.map(([x, y]) => `${x} ${y.toFixed(1)}`).join("L");
      line.setAttribute("d", lines.map((run) => `M${along(run)}`).join(""));
      area.setAttribute(
        "d",
        lines.map((run) => `M${run[0][0]} ${HEIGHT}L${along(run)}L${run.at(-1)[0]} ${HEIGHT}Z`).join(""),
      );
    },
  };
}

const WIDE = 132,
  EDGE = 5;

/** From p50 (the dot) by p90 (the tick) to p99 (the end), on a scale of powers that all versions of a service share. */
export function spread(look) {
  const node = svg("svg", { class: `spread ${look}`, width: WIDE, height: 14, "aria-hidden": "true" });
  const ground = svg("line", { class: "ground", x1: 0, x2: WIDE, y1: 7, y2: 7 }),
    span = svg("line", { class: "span", y1: 7, y2: 7 }),
    tick = svg("line", { class: "tick", y1: 3, y2: 11 }),
    end = svg("line", { class: "tick", y1: 1, y2: 13 }),
    dot = svg("circle", { class: "dot", cy: 7, r: 4 });
  node.append(ground, span, tick, end, dot);
  return {
    node,
    show(live, [low, high]) {
      const known = live?.p50 != null;
      for (const part of [span, tick, end, dot]) part.toggleAttribute("hidden", !known);
      if (!known) return;
      const place = (seconds) => (EDGE + ((WIDE - 2 * EDGE) * Math.log(seconds / low)) / Math.log(high / low)).toFixed(1);
      const [p50, p90, p99] = [live.p50, live.p90, live.p99].map(place);
      span.setAttribute("x1", p50);
      span.setAttribute("x2", p99);
      for (const [mark, at] of [
        [tick, p90],
        [end, p99],
      ]) {
        mark.setAttribute("x1", at);
        mark.setAttribute("x2", at);
      }
      dot.setAttribute("cx", p50);
    },
  };
}

/** The scale of `spread` that holds all of these. */
export function scale(lives) {
  const known = lives.flatMap((live) => (live?.p50 == null ? [] : [live.p50, live.p99]));
  const low = Math.min(...known, 0.05) / 1.1;
  return [low, Math.max(...known, low * 8) * 1.1];
}
