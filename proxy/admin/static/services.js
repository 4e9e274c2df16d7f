// Every service is a line; open, its versions stand below each other, the stable one first.

import { byId, h, keyed, look, say, shareBar } from "./dom.js";
import { detail } from "./service.js";
import { colour, ordered } from "./versions.js";
import { ERRORS_MANY, NONE, count, percent, plural, rate } from "./words.js";

const OPEN_MAX = 6; // services that are open from the beginning
const FIND_FROM = 7; // services

export function showServices({ services, services_left_out: leftOut }) {
  byId("find").hidden = services.length < FIND_FROM;
  const troubled = services.filter(inTrouble);
  say(byId("find-troubles"), `(${count(troubled.length)})`);
  const shown = byId("find").hidden ? services : found(byId("find-trouble").checked ? troubled : services);
  keyed(
    byId("services-list"),
    shown,
    (service) => service.service,
    (service) => line(service, services.length <= OPEN_MAX),
  );
  const none = byId("services-none");
  none.hidden = Boolean(shown.length) && !leftOut;
  say(
    none,
    shown.length
      ? `and ${plural(leftOut, "service")} with fewer requests; /api/services has all`
      : services.length
        ? "No service is like that."
        : "The rules name no service yet.",
  );
}

function found(services) {
  const sought = byId("find-name").value.trim().toLowerCase();
  return services.filter((one) => one.service.toLowerCase().includes(sought));
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
      h("span.sum", {}, all, h("span.unit", {}, " requests/s")),
      h("span.sum.of-errors", {}, errors, h("span.unit", {}, " errors")),
    ),
    body,
  );
  const opened = inside(body);
  node.addEventListener("toggle", () => node.open && opened.show(latest));
  let latest = first;
  return {
    node,
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
