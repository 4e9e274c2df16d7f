// A card for each service: its versions beside each other, the stable one first.

import { byId, h, keyed, say, sparkline } from "./dom.js";
import { ERRORS_MANY, NONE, count, latency, percent, plural, rate, share } from "./words.js";

const COMPARED_MIN = 100; // requests in the window on both sides; with fewer, a difference means nothing
const FIND_FROM = 7; // services
const RULES_MAX = 12;

const ROWS = [
  { name: "Share", text: (live) => percent(live.share), strong: true },
  { name: "Requests a second", text: (live) => rate(live.rate), spark: (live) => [live.rate, 1] },
  {
    name: "Errors (5xx)",
    text: (live) => percent(live.error_rate),
    spark: (live) => [live.error_rate, 0.05],
    errors: true,
    against: (live, stable) => points(live.error_rate - stable.error_rate),
  },
  { name: "Latency p50", text: (live) => latency(live.p50), against: (live, stable) => ratio(live.p50, stable.p50) },
  { name: "p90", text: (live) => latency(live.p90), against: (live, stable) => ratio(live.p90, stable.p90) },
  { name: "p99", text: (live) => latency(live.p99), against: (live, stable) => ratio(live.p99, stable.p99) },
];

const arrow = (difference) => (difference > 0 ? "▲" : "▼");
function ratio(value, stable) {
  const difference = Math.round((value / stable - 1) * 100);
  return Math.abs(difference) < 5 ? "" : `${arrow(difference)} ${Math.abs(difference)}\u202f%`;
}
function points(difference) {
  return Math.abs(difference) < 0.0005 ? "" : `${arrow(difference)} ${Math.abs(difference * 100).toFixed(1)}\u202fpt`;
}

export function showServices({ services, services_left_out: leftOut }) {
  byId("find").hidden = services.length < FIND_FROM;
  const sought = byId("find-name").value.trim().toLowerCase();
  const shown = byId("find").hidden ? services : services.filter((one) => one.service.toLowerCase().includes(sought));
  // Another set of versions or rules is another card; all else is shown in the one there is.
  keyed(
    byId("services"),
    shown,
    (service) =>
      JSON.stringify([
        service.service,
        service.stable,
        ordered(service).map((one) => one.version),
        service.rules.map((rule) => [rule.route, rule.rule]),
      ]),
    card,
  );
  const none = byId("services-none");
  none.hidden = Boolean(shown.length) && !leftOut;
  say(
    none,
    shown.length
      ? `and ${plural(leftOut, "service")} with fewer requests; /api/services has all`
      : services.length
        ? "No service of that name."
        : "The rules name no service.",
  );
}

/** The stable version, then the others; then those that left the rules and have something left. */
function ordered(service) {
  const versions = service.versions.map((one) => ({ ...one, gone: false }));
  versions.sort((a, b) => (b.version === service.stable) - (a.version === service.stable));
  return [...versions, ...service.draining.map((one) => ({ ...one, gone: true, endpoints: [] }))];
}

function card(first) {
  const versions = ordered(first);
  const total = h("p.total");
  const bar = shareBar(versions);
  const columns = versions.map((version, index) => column(version, index, version.version === first.stable));
  const head = h("tr", {}, h("td"), ...columns.map((one) => one.head));
  const body = h("tbody");
  ROWS.forEach((row, at) =>
    body.append(
      h(
        row.strong ? "tr.strong" : "tr",
        {},
        h("th", { scope: "row" }, row.name),
        ...columns.map((one) => one.cells[at]),
      ),
    ),
  );
  body.append(h("tr", {}, h("th", { scope: "row" }, "In flight"), ...columns.map((one) => one.inFlight)));
  body.append(h("tr", {}, h("th", { scope: "row" }, "Endpoints up"), ...columns.map((one) => one.up)));
  const rules = ruleRows(first.rules, columns.length);
  const table = h(
    "table",
    {},
    h("caption.for-ears", {}, `Versions of ${first.service}`),
    h("thead", {}, head),
    body,
    rules.node,
  );
  table.style.minWidth = `${6 + 5.5 * versions.length}rem`;
  const endpoints = endpointList();
  const node = h(
    "article.card.service",
    {},
    h("header", {}, h("h3", {}, first.service), total),
    bar.node,
    h(
      "div.scroll",
      versions.length > 2 ? { tabIndex: 0, role: "region", ariaLabel: `Versions of ${first.service}` } : {},
      table,
    ),
    endpoints.node,
  );
  return {
    node,
    show(service) {
      const now = ordered(service);
      const stable = now.find((one) => one.version === service.stable);
      const all = now.reduce((sum, one) => sum + (one.live?.rate ?? 0), 0);
      say(total, now.some((one) => one.live) ? `${rate(all)} requests/s` : "");
      bar.show(now);
      now.forEach((version, at) => columns[at].show(version, stable));
      rules.show(service.rules, now);
      endpoints.show(now);
    },
  };
}

/** One version's cells. index: which colour and pattern stand for it; 0 is the stable one. */
function column(version, index, stable) {
  const state = h("span.state");
  const head = h(
    "th",
    { scope: "col" },
    h("span.version", {}, h(`i.swatch.v${Math.min(index, 4)}`, { ariaHidden: "true" }), version.version),
    ...(stable ? [h("span.tag", {}, "stable")] : []),
    state,
  );
  const parts = ROWS.map((row) => {
    const value = h("span.value"),
      against = h("span.against");
    const spark = row.spark && sparkline(row.errors ? "errors" : `v${Math.min(index, 4)}`);
    return {
      row,
      value,
      against,
      spark,
      cell: h("td", {}, h("div.figure", {}, h("span", {}, value, against), ...(spark ? [spark.node] : []))),
    };
  });
  const inFlight = h("td"),
    up = h("td");
  return {
    head,
    inFlight,
    up,
    cells: parts.map((part) => part.cell),
    show(now, base) {
      say(state, STATES[now.gone ? "gone" : now.state] ?? now.state);
      state.className = `state ${now.state}`;
      const compared = !stable && now.live?.requests >= COMPARED_MIN && base?.live?.requests >= COMPARED_MIN;
      for (const { row, value, against, spark, cell } of parts) {
        say(value, now.live ? row.text(now.live) : NONE);
        say(against, compared && row.against ? row.against(now.live, base.live) : "");
        against.title = `compared with ${base?.version}`;
        if (row.errors) cell.classList.toggle("bad", now.live?.error_rate >= ERRORS_MANY);
        spark?.add(...(now.live ? row.spark(now.live) : [null, 0]));
      }
      say(inFlight, count(now.in_flight) + (now.tunnels ? ` + ${plural(now.tunnels, "tunnel")}` : ""));
      const well = now.endpoints.filter((one) => one.up).length;
      up.classList.toggle("bad", well < now.endpoints.length);
      say(up, now.gone ? NONE : `${well} of ${now.endpoints.length}`);
    },
  };
}

const STATES = {
  active: "",
  draining: "draining",
  idle: "idle: may be switched off",
  gone: "left the rules, draining",
};

function shareBar(versions) {
  const segments = versions.map((_, index) => h(`div.v${Math.min(index, 4)}`));
  const node = h("div.shares", { role: "img" }, ...segments);
  return {
    node,
    show(now) {
      const known = now.filter((one) => one.live?.share);
      node.classList.toggle("none", !known.length);
      node.ariaLabel = known.length
        ? `Live share: ${known.map((one) => `${one.version} ${percent(one.live.share)}`).join(", ")}`
        : "No requests";
      now.forEach((one, at) => (segments[at].style.flexGrow = one.live?.share ?? 0));
    },
  };
}

/** What each rule gives to each version. */
function ruleRows(rules, columns) {
  const shown = rules.slice(0, RULES_MAX);
  const routes = new Set(rules.map((rule) => rule.route));
  const cells = shown.map(() => Array.from({ length: columns }, () => h("td")));
  const rows = shown.map((rule, at) =>
    h(
      "tr",
      {},
      h(
        "th",
        { scope: "row" },
        ...(routes.size > 1 ? [h("span.muted", {}, `${rule.route} / `)] : []),
        rule.rule || "no rule",
      ),
      ...cells[at],
    ),
  );
  if (rules.length > RULES_MAX)
    rows.push(h("tr", {}, h("td.muted", { colSpan: columns + 1 }, `and ${rules.length - RULES_MAX} more rules`)));
  const title = h("tr.group", {}, h("th", { scope: "rowgroup", colSpan: columns + 1 }, "By the rules"));
  return {
    node: h("tbody.rules", { hidden: !rules.length }, title, ...rows),
    show(now, versions) {
      now.slice(0, RULES_MAX).forEach((rule, at) =>
        versions.forEach((version, column) => {
          const part = rule.shares[version.version] ?? 0;
          cells[at][column].classList.toggle("nothing", !part);
          say(cells[at][column], share(part));
        }),
      );
    },
  };
}

function endpointList() {
  const summary = h("summary"),
    items = h("ul.endpoints");
  const node = h("details", {}, summary, items);
  let allUp = true;
  return {
    node,
    show(versions) {
      const all = versions.flatMap((version) =>
        version.endpoints.map((endpoint) => ({ ...endpoint, version: version.version })),
      );
      const down = all.filter((one) => !one.up).length;
      node.hidden = !all.length;
      if (down && allUp) node.open = true;
      allUp = !down;
      summary.classList.toggle("bad", Boolean(down));
      say(
        summary,
        down
          ? `Endpoints: ${count(down)} of ${count(all.length)} down`
          : `Endpoints: ${count(all.length)} of ${count(all.length)} up`,
      );
      keyed(items, node.open ? all : [], (one) => `${one.version} ${one.url}`, endpoint);
    },
  };
}

function endpoint(first) {
  const mark = h("span.mark"),
    more = h("span.muted");
  return {
    node: h("li", {}, mark, h("span.version", {}, first.version), h("code", {}, first.url), more),
    show(one) {
      mark.className = `mark ${one.up ? "ok" : "bad"}`;
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
