// One service from the inside: versions against each other, what each rule gives them, endpoints.

import { scale, sparkline, spread } from "./charts.js";
import { h, keyed, look, say } from "./dom.js";
import { colour, ordered } from "./versions.js";
import { ERRORS_MANY, NONE, count, latency, percent, plural, rate, share } from "./words.js";

const COMPARED_MIN = 100; // requests in the window on both sides; with fewer, a difference means nothing
const WORSE = { ratio: 1.25, points: 0.005 }; // from here on a difference stands out
const RULES_MAX = 12;

/** A table that may change its display: on a phone versions stand beside each other, and its rows become columns. */
const t = {
  table: (name, set, ...rows) => h(name, { role: "table", ...set }, ...rows),
  group: (tag, ...rows) => h(tag, { role: "rowgroup" }, ...rows),
  row: (...cells) => h("tr", { role: "row" }, ...cells),
  column: (name, ...content) => h(name, { role: "columnheader", scope: "col" }, ...content),
  rowHead: (name, ...content) => h(name, { role: "rowheader", scope: "row" }, ...content),
  cell: (name, ...content) => h(name, { role: "cell" }, ...content),
};

const arrow = (difference) => (difference > 0 ? "▲" : "▼");
function ratio(value, stable) {
  const difference = Math.round((value / stable - 1) * 100);
  if (Math.abs(difference) < 5) return ["", false];
  return [`${arrow(difference)}\u202f${Math.abs(difference)}\u202f%`, value / stable >= WORSE.ratio];
}
function points(value, stable) {
  const difference = value - stable;
  if (Math.abs(difference) < 0.0005) return ["", false];
  return [`${arrow(difference)}\u202f${Math.abs(difference * 100).toFixed(1)}\u202fpt`, difference >= WORSE.points];
}

const percentile = (name) => ({
  name,
  text: (live) => latency(live[name]),
  against: (live, stable) => ratio(live[name], stable[name]),
});
const COLUMNS = [
  { name: "Share", text: (live) => percent(live.share), strong: true },
  { name: "Weight", weight: true },
  { name: "Requests/s", text: (live) => rate(live.rate), spark: (live) => [live.rate, 1] },
  {
    name: "Errors (5xx)",
    text: (live) => percent(live.error_rate),
    spark: (live) => [live.error_rate, 0.05],
    errors: true,
    against: (live, stable) => points(live.error_rate, stable.error_rate),
  },
  percentile("p50"),
  percentile("p90"),
  percentile("p99"),
  { name: "p50 to p99", spread: true },
];

export function detail(first) {
  const versions = ordered(first);
  const rows = versions.map((version) => row(first, version, version.version === first.stable));
  const table = t.table(
    "table.versions",
    { ariaLabel: `Versions of ${first.service}` },
    t.group(
      "thead",
      t.row(
        t.column("th", "Version"),
        ...COLUMNS.map((one) => t.column(one.spread ? "th.wide-only" : "th", one.name)),
        t.column("th", "In flight"),
        t.column("th", "Endpoints up"),
      ),
    ),
    t.group("tbody", ...rows.map((one) => one.node)),
  );
  const rules = ruleTable(first, versions);
  const plain = first.rules.length < 2 && !first.rules.some((rule) => rule.rule);
  const endpoints = endpointList(first.service);
  const scroll = (name, node) => h("div.scroll", { tabIndex: 0, role: "region", ariaLabel: name }, node);
  return {
    nodes: [
      scroll(`Versions of ${first.service}, table`, table),
      ...(plain ? [] : [scroll(`Rules of ${first.service}, table`, rules.node)]),
      endpoints.node,
    ],
    show(service) {
      const now = ordered(service);
      const stable = now.find((one) => one.version === service.stable);
      const range = scale(now.map((one) => one.live));
      now.forEach((version, at) => rows[at].show(version, stable, range, weightOf(service, version.version)));
      rules.show(service.rules, now);
      endpoints.show(now);
    },
  };
}

/** What the rules give to a version: told here only where one rule alone splits by weight. */
function weightOf(service, version) {
  const splits = service.rules.filter((rule) => rule.weights);
  return splits.length === 1 ? share(splits[0].shares[version] ?? 0) : splits.length ? "by rule" : NONE;
}

function row(service, first, stable) {
  const hue = colour(service.service, first.version);
  const state = h("span.state");
  const head = t.rowHead(
    "th",
    h("span.version", {}, h(`i.swatch.${hue}`, { ariaHidden: "true" }), h("span", {}, first.version)),
    ...(stable ? [h("span.tag", {}, "stable")] : []),
    state,
  );
  const parts = COLUMNS.map((column) => part(column, hue));
  const inFlight = h("span.value"),
    tunnels = h("span.against"),
    up = t.cell("td");
  return {
    node: t.row(head, ...parts.map((one) => one.cell), t.cell("td", inFlight, tunnels), up),
    show(now, base, range, weight) {
      say(state, STATES[now.gone ? `gone ${now.state}` : now.state] ?? now.state);
      look(state, `state ${now.state}`);
      const compared = !stable && now.live?.requests >= COMPARED_MIN && base?.live?.requests >= COMPARED_MIN;
      for (const one of parts) one.show(now, compared ? base : null, range, weight);
      say(inFlight, count(now.in_flight));
      say(tunnels, now.tunnels ? `+ ${plural(now.tunnels, "tunnel")}` : "");
      const well = now.endpoints.filter((one) => one.up).length;
      look(up, well < now.endpoints.length ? "bad" : "");
      say(up, now.gone ? NONE : `${well} of ${now.endpoints.length}`);
    },
  };
}

const STATES = {
  active: "",
  draining: "draining",
  idle: "safe to switch off",
  "gone draining": "left the rules, draining",
  "gone idle": "left the rules, safe to switch off",
};

/** One figure of one version: the value, how it stands to the stable one's, and where it comes from. */
function part(column, hue) {
  if (column.spread) {
    const picture = spread(hue);
    return { cell: t.cell("td.wide-only", picture.node), show: (now, _, range) => picture.show(now.live, range) };
  }
  const value = h("span.value"),
    against = h("span.against"),
    below = column.spark ? sparkline(column.errors ? "errors" : hue) : null;
  const figure = column.errors ? [h("div.figure", {}, value, against)] : [value, against];
  const cell = t.cell(column.strong ? "td.strong" : "td", ...figure, ...(below ? [below.node] : []));
  return {
    cell,
    show(now, base, _, weight) {
      if (column.weight) return void say(value, now.gone ? NONE : weight);
      say(value, now.live ? column.text(now.live) : NONE);
      const [text, worse] = base && column.against ? column.against(now.live, base.live) : ["", false];
      say(against, text);
      look(against, worse ? "against worse" : "against");
      against.title = text ? `against ${base.version}` : "";
      if (column.errors) value.classList.toggle("bad", now.live?.error_rate >= ERRORS_MANY);
      below?.add(...(now.live ? column.spark(now.live) : [null, 0]));
    },
  };
}

/** What each rule gives to each version, and what each got. */
function ruleTable({ service, rules }, versions) {
  const shown = rules.slice(0, RULES_MAX);
  const routes = new Set(rules.map((rule) => rule.route));
  const cells = shown.map(() => versions.map(() => [h("span.value"), h("span.against")]));
  const sums = shown.map(() => h("td", { role: "cell" }));
  const rows = shown.map((rule, at) =>
    t.row(
      t.rowHead(
        "th",
        ...(routes.size > 1 ? [h("span.muted", {}, `${rule.route} / `)] : []),
        rule.rule || "otherwise",
      ),
      ...cells[at].map((pair) => t.cell("td", ...pair)),
      sums[at],
    ),
  );
  if (rules.length > RULES_MAX)
    rows.push(t.row(t.cell("td.muted", `and ${rules.length - RULES_MAX} more rules; /api/services has all`)));
  const names = versions.map((one) => t.column(`th.named.${colour(service, one.version)}`, one.version));
  return {
    node: t.table(
      "table.rules",
      { ariaLabel: `What the rules give to versions of ${service}` },
      t.group("thead", t.row(t.column("th", "By rule"), ...names, t.column("th", "Requests/s"))),
      t.group("tbody", ...rows),
    ),
    show(now, columns) {
      now.slice(0, RULES_MAX).forEach((rule, at) => {
        const all = Object.values(rule.taken).reduce((sum, one) => sum + one, 0);
        say(sums[at], rate(all));
        columns.forEach((version, column) => {
          const [value, got] = cells[at][column];
          const part = rule.shares[version.version] ?? 0;
          look(value, part ? "value" : "value muted");
          say(value, share(part));
          const taken = rule.taken[version.version] ?? 0;
          say(got, all && (rule.weights || Boolean(part) !== Boolean(taken)) ? `got ${percent(taken / all)}` : "");
        });
      });
    },
  };
}

function endpointList(service) {
  const summary = h("summary"),
    items = h("ul.endpoints");
  const node = h("details", {}, summary, items);
  let allUp = true;
  return {
    node,
    show(versions) {
      const all = versions.flatMap((version) =>
        version.endpoints.map((endpoint) => ({ ...endpoint, version: version.version, service })),
      );
      const down = all.filter((one) => !one.up).length;
      node.hidden = !all.length;
      if (down && allUp) node.open = true;
      allUp = !down;
      look(summary, down ? "bad" : "");
      say(summary, down ? `${count(down)} of ${plural(all.length, "endpoint")} down` : plural(all.length, "endpoint"));
      keyed(items, node.open ? all : [], (one) => JSON.stringify([one.version, one.url]), endpoint);
    },
  };
}

function endpoint(first) {
  const mark = h("span.mark"),
    more = h("span.muted");
  const version = h(
    "span.version",
    {},
    h(`i.swatch.${colour(first.service, first.version)}`, { ariaHidden: "true" }),
    h("span", {}, first.version),
  );
  return {
    node: h("li", {}, mark, version, h("code", {}, first.url), more),
    show(one) {
      look(mark, `mark ${one.up ? "ok" : "bad"}`);
      say(mark, one.up ? "✓ up" : "✕ down");
      const why = one.healthy
        ? one.ejected
          ? `ejected by ${one.ejected} of ${plural(one.workers, "worker")}, `
          : ""
        : "health check fails, ";
      say(more, `${why}${count(one.in_flight)} in flight, ${plural(one.connections, "connection")}`);
    },
  };
}
