// Asks /api/explain, and shows the way of the request through the rules.

import { byId, h } from "./dom.js";
import { colour } from "./versions.js";
import { share } from "./words.js";

const UNFIT_MAX = 8; // routes that do not fit

export function startExplain() {
  const form = byId("explain");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(form);
  });
}

async function ask(form) {
  const query = new URLSearchParams({ url: form.elements.url.value, method: form.elements.method.value });
  for (const [field, parameter] of [
    ["headers", "header"],
    ["cookies", "cookie"],
  ])
    for (const line of form.elements[field].value.split("\n")) if (line.trim()) query.append(parameter, line.trim());
  if (form.elements.client_ip.value.trim()) query.set("client_ip", form.elements.client_ip.value.trim());
  const into = byId("explained");
  try {
    const response = await fetch(`api/explain?${query}`);
    const answer = await response.json();
    into.replaceChildren(...(response.ok ? told(answer) : [h("p.notice.bad", {}, answer.error)]));
  } catch {
    into.replaceChildren(h("p.notice.bad", {}, "No answer from the admin port; try again."));
  }
}

function* told(trace) {
  const hue = trace.version ? colour(trace.service, trace.version) : "of-none";
  yield h(`p.decision.${hue}`, {}, ...decision(trace));
  const unfit = trace.routes.filter((route) => route.outcome === "does not fit");
  yield h("ol.trace", {}, ...trace.routes.filter((route) => route.outcome !== "does not fit").map(route));
  if (unfit.length) {
    const shown = unfit
      .slice(0, UNFIT_MAX)
      .map((one) => h("li", {}, h("strong", {}, one.name), " ", (one.host.holds ? one.path : one.host).text));
    if (unfit.length > UNFIT_MAX) shown.push(h("li.muted", {}, `and ${unfit.length - UNFIT_MAX} more`));
    yield h("details", {}, h("summary", {}, `Routes that do not fit: ${unfit.length}`), h("ul.plain", {}, ...shown));
  }
  for (const [title, lines] of [
    ["Changed of the request", trace.request],
    ["Changed of the response", trace.response],
    ["Copied", trace.copies],
    ["Who stands in", trace.stand_ins],
  ])
    if (lines.length)
      yield h("div", {}, h("h3", {}, title), h("ul.plain", {}, ...lines.map((line) => h("li", {}, line))));
}

function decision(trace) {
  if (!trace.route) return ["No route takes it: ", h("strong", {}, "404")];
  const why = ` by ${trace.rule ? `rule ${trace.rule}` : "no rule"} of route ${trace.route} (${trace.reason})`;
  if (trace.redirect) return [`Redirected (${trace.status}) to `, h("strong", {}, trace.redirect), why];
  if (trace.status) return ["Answered by the proxy: ", h("strong", {}, String(trace.status)), why];
  if (!trace.version) return [`Service ${trace.service}, `, h("strong", {}, "a version drawn at random"), why];
  return [`Service ${trace.service}, version `, h("strong", {}, trace.version), why];
}

function route(one) {
  const findings = [one.host, one.path, one.method, ...(one.action ? [one.action] : [])].filter(
    (finding) => one.outcome !== "not reached" && finding,
  );
  return h(
    "li",
    {},
    h(
      "p",
      {},
      h("strong", {}, one.name),
      h("span.muted", {}, ` ${one.service ? `service ${one.service}` : "no service"}: ${one.outcome}`),
    ),
    h("ul.findings", {}, ...findings.map(finding), ...one.rules.map(rule)),
  );
}

function finding(one) {
  return h(
    "li",
    {},
    mark(one.holds),
    one.text,
    ...(one.parts.length ? [h("ul.findings", {}, ...one.parts.map(finding))] : []),
  );
}

function rule(one) {
  const parts = one.match.holds === null ? [] : [finding(one.match)];
  if (one.choice) parts.push(...choice(one.choice));
  return h(
    "li",
    {},
    mark(one.match.holds),
    h("strong", {}, `rule ${one.name}`),
    one.match.holds === null ? h("span.muted", {}, " not reached") : "",
    ...(parts.length ? [h("ul.findings", {}, ...parts)] : []),
  );
}

function choice(one) {
  const key = one.key
    ? `${one.key} '${one.value}' is in bucket ${one.bucket.toLocaleString("en")} of 10,000`
    : one.issues
      ? `no key: a random id is given with cookie ${one.issues}`
      : "no key: drawn for each request";
  const shares = one.shares.map(
    (part) =>
      `${part.version} ${share(part.share)} (${part.start.toLocaleString("en")} to ${(part.end - 1).toLocaleString("en")})`,
  );
  return [...(one.pin ? [one.pin] : []), key, shares.join(", ")].map((text) =>
    h("li", {}, h("span.mark.none", { ariaHidden: "true" }, "·"), text),
  );
}

function mark(holds) {
  if (holds === null) return h("span.mark.none", {}, "–", h("span.for-ears", {}, "not reached "));
  return h(
    `span.mark.${holds ? "ok" : "no"}`,
    {},
    h("span", { ariaHidden: "true" }, holds ? "✓" : "✕"),
    h("span.for-ears", {}, holds ? "holds: " : "does not hold: "),
  );
}
