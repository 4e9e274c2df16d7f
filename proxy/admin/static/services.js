// Every service is a line; open, its versions stand below each other, the stable one first.

import { byId, h, keyed, look, say, shareBar } from "./dom.js";
import { detail } from "./service.js";
import { colour, ordered } from "./versions.js";
import { ERRORS_MANY, NONE, count, percent, plural, rate } from "./words.js";

const OPEN_MAX = 6; // services that are open from the beginning
const FIND_FROM = 7; // services

let leftOut = 0;

export function showServices({ services, services_left_out: number }) {
  leftOut = number;
  byId("find").hidden = services.length < FIND_FROM;
  keyed(
    byId("services-list"),
    services,
    (service) => service.service,
    (service) => line(service, services.length <= OPEN_MAX),
  );
  say(byId("find-troubles"), `(${count(services.filter(inTrouble).length)})`);
  find();
}

/** Show those that are looked for; the others stay, and what they have drawn so far. */
function find() {
  const known = [...byId("services-list").known.values()];
  const all = byId("find").hidden;
  const sought = byId("find-name").value.trim().toLowerCase();
  const troubled = byId("find-trouble").checked;
  for (const one of known) one.node.hidden = !all && !one.fits(sought, troubled);
  const shown = known.some((one) => !one.node.hidden);
  const none = byId("services-none");
  none.hidden = shown && !leftOut;
  say(
    none,
    shown
      ? `and ${plural(leftOut, "service")} with fewer requests; /api/services has all`
      : known.length
        ? "No service is like that."
        : "The rules name no service yet.",
  );
}

export function startFinding() {
  byId("find").addEventListener("input", find);
  byId("find").addEventListener("submit", (event) => event.preventDefault());
}

const endpointsDown = (service) =>
  service.versions.flatMap((version) => version.endpoints).filter((endpoint) => !endpoint.up).length;
const failing = (service) => service.versions.some((version) => version.live?.error_rate >= ERRORS_MANY);
const inTrouble = (service) => endpointsDown(service) > 0 || failing(service);

function line(first, open) {
  const flags = h("span.flags"),
    bar = shareBar("Live share"),
    all = h("span.value"),
    errors = h("span.value");
  const body = h("div.body");
  const node = h(
    "details.service",
    { open },
    h(
      "summary",
      {},
      h("h3", {}, first.service),
      flags,
      bar.node,
      h("span.sum", {}, all, h("span.unit", {}, " ", h("span.roomy", {}, "requests"), "/s")),
      h("span.sum.of-errors", {}, errors, h("span.unit", {}, " errors")),
    ),
    body,
  );
  const opened = inside(body);
  node.addEventListener("toggle", () => node.open && opened.show(latest));
  let latest = first;
  return {
    node,
    fits: (sought, troubled) =>
      latest.service.toLowerCase().includes(sought) && (!troubled || inTrouble(latest)),
    show(service) {
      latest = service;
      const versions = ordered(service);
      const known = versions.filter((one) => one.live);
      say(all, known.length ? rate(known.reduce((sum, one) => sum + one.live.rate, 0)) : NONE);
      const part = errorRate(known);
      say(errors, percent(part));
      errors.parentElement.classList.toggle("bad", part >= ERRORS_MANY);
      bar.show(
        versions.map((one) => [
          colour(service.service, one.version),
          one.live?.share,
          `${one.version} ${percent(one.live?.share)}`,
        ]),
      );
      keyed(flags, told(service, versions), ([text]) => text, flag);
      if (node.open) opened.show(service);
    },
  };
}

function errorRate(versions) {
  const requests = versions.reduce((sum, one) => sum + one.live.requests, 0);
  return requests ? versions.reduce((sum, one) => sum + one.live.requests * one.live.error_rate, 0) / requests : null;
}

/** Made when it is first looked at; anew where there are other versions or rules. */
function inside(body) {
  let shape = "",
    part = null;
  return {
    show(service) {
      const now = JSON.stringify([
        service.stable,
        ordered(service).map((one) => one.version),
        service.rules.map((rule) => [rule.route, rule.rule]),
      ]);
      if (now !== shape) body.replaceChildren(...(part = detail(service)).nodes);
      shape = now;
      part.show(service);
    },
  };
}

/** What deserves a look though the service's line is closed. */
function told(service, versions) {
  const down = endpointsDown(service);
  const leaving = versions.filter((one) => one.state === "draining");
  return [
    ...(down ? [[`${plural(down, "endpoint")} down`, "bad"]] : []),
    ...leaving.map((one) => [`${one.version} draining`, "warn"]),
  ];
}

function flag([text, kind]) {
  return { node: look(h("span", {}, text), `pill ${kind}`), show() {} };
}
