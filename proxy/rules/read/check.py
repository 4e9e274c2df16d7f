"""What the parts of a rule file say of each other: names that must exist, names that must differ, sums and pairs.

Judges the model alone; what one text may be is judged where it is read (units.py). A part that could not be read is
absent from the model, and nothing is said of it here a second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from proxy.rules import cookies
from proxy.rules.expect import Expectation, Trial
from proxy.rules.mirrors import person_of
from proxy.rules.model import (
    AllOf,
    AnyOf,
    Condition,
    FieldTest,
    Not,
    NotTest,
    Route,
    Rule,
    RuleFile,
    Service,
    TextTest,
    ValueTest,
    Version,
)
from proxy.rules.person import Sticky
from proxy.rules.read.nodes import Path
from proxy.rules.read.rollout_check import check_rollouts
from proxy.rules.read.shapes import known, listed
from proxy.rules.tls import DEFAULT_TLS, Tls

Finding = tuple[Path, str]
"""Where in the file, and what is wrong there."""


def check(rule_file: RuleFile) -> Iterator[Finding]:
    """Every fault between the parts of a rule file."""
    for name, service in rule_file.services.items():
        yield from _check_service(service, ("services", name))
    if not rule_file.services:
        named = next((route for route in rule_file.routes if route.service), None)
        if named is not None:
            yield ("services",), f"missing key 'services': route '{named.name}' leads to service '{named.service}'"
    yield from _duplicates([route.name for route in rule_file.routes], ("routes",), "route")
    for number, route in enumerate(rule_file.routes):
        yield from _check_route(route, rule_file.services, ("routes", number))
    yield from check_rollouts(rule_file.rollouts, rule_file.routes)
    names = _Names(rule_file)
    for number, trial in enumerate(rule_file.tests):
        yield from _check_trial(trial, names, ("tests", number))


# --- Services ------------------------------------------------------------------------------------------------------


def _check_service(service: Service, at: Path) -> Iterator[Finding]:
    yield from _known_version(service.stable, service, (*at, "stable"))
    for version in service.versions.values():
        yield from _check_version(version, (*at, "versions", version.name, "endpoints"))
        if version.tls is not None:
            yield from _check_tls(version.tls, [version], (*at, "versions", version.name, "tls"))
    if service.tls != DEFAULT_TLS:
        yield from _check_tls(service.tls, service.versions.values(), (*at, "tls"))
    if service.active is not None and service.active.timeout > service.active.interval:
        yield (*at, "health", "active", "timeout"), "longer than `interval`: checks of one endpoint would overlap"


def _check_version(version: Version, at: Path) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for number, endpoint in enumerate(version.endpoints):
        first = seen.setdefault(endpoint.url, number)
        if first != number:
            yield (*at, number), f"{endpoint.url} stands here twice; give it a `weight` instead"
    if version.endpoints and not any(endpoint.weight for endpoint in version.endpoints):
        yield at, "every endpoint has weight 0: none would get a request"


def _check_tls(tls: Tls, versions: Iterable[Version], at: Path) -> Iterator[Finding]:
    urls = [endpoint.url for version in versions for endpoint in version.endpoints]
    if urls and not any(url.startswith("https:") for url in urls):
        yield at, "no endpoint here is https://, so nothing would be secured"
    if bool(tls.cert) != bool(tls.key):
        yield at, f"`{'cert' if tls.cert else 'key'}` stands without `{'key' if tls.cert else 'cert'}`"


# --- Routes --------------------------------------------------------------------------------------------------------


def _check_route(route: Route, services: Mapping[str, Service], at: Path) -> Iterator[Finding]:
    service = services.get(route.service)
    if service is None and route.service and services:
        yield (*at, "service"), f"unknown service '{route.service}'{known(route.service, services, 'there are')}"
    if not route.service:
        yield from _check_without_service(route, at)
    yield from _duplicates([rule.name for rule in route.rules], (*at, "rules"), "rule")
    for number, rule in enumerate(route.rules):
        yield from _check_rule(rule, route.hosts, service, (*at, "rules", number))
        yield from _check_actions(rule, route, service, (*at, "rules", number))
    if route.otherwise.kind == "version" and (service is None or route.otherwise.version != service.stable):
        yield from _known_version(route.otherwise.version, service, (*at, "otherwise"))
    yield from _check_actions(route, route, service, at)
    if route.respond is not None and (route.service or route.rules):
        what = "service" if route.service else "rules"
        yield (*at, "respond"), f"answers all that the route takes, so its `{what}` is never reached; give it to a rule"


def _check_without_service(route: Route, at: Path) -> Iterator[Finding]:
    needs = [f"rule '{rule.name}' leads to a version of it" for rule in route.rules if rule.version or rule.split]
    needs += ["`otherwise` leads to a version of it"] if route.otherwise.kind == "version" else []
    given = ("rewrite", "request_headers", "mirror", "timeouts", "retry")
    needs += [f"`{key}` speaks of what it is sent" for key in given if getattr(route, key)]
    if needs:
        yield (*at, "service"), f"missing key 'service': {needs[0]}"


def _check_rule(rule: Rule, hosts: Sequence[str], service: Service | None, at: Path) -> Iterator[Finding]:
    if rule.match is not None:
        yield from _check_condition(rule.match, (*at, "match"))
    outcomes = [f"`{key}`" for key in ("version", "split", "redirect", "respond") if getattr(rule, key)]
    if len(outcomes) != 1:
        what = " and ".join(outcomes) or "no `version`, `split`, `redirect` or `respond`"
        yield at, f"rule '{rule.name}' has {what}; it takes one of them"
    yield from _known_version(rule.version, service, (*at, "version"))
    if rule.split is not None:
        for name, _ in rule.split.weights:
            yield from _known_version(name, service, (*at, "split"))
        if not any(weight > 0 for _, weight in rule.split.weights):
            yield (*at, "split"), "every weight is 0: the sum must be greater than 0"
    if rule.sticky is not None:
        if rule.split is None:
            yield (*at, "sticky"), "`sticky` stands beside a `split`; one version is sticky by itself"
        yield from _check_sticky(rule.sticky, (*at, "sticky"))
        if rule.sticky.cookie is not None:
            yield from cookies.refused(rule.sticky.cookie, hosts, (*at, "sticky", "cookie"))
    if rule.redirect is not None or rule.respond is not None:
        for key in ("rewrite", "request_headers", "mirror", "timeouts", "retry"):
            if getattr(rule, key) is not None:
                yield (*at, key), "speaks of what a service is sent, and this rule leads to none"


def _check_actions(part: Route | Rule, route: Route, service: Service | None, at: Path) -> Iterator[Finding]:
    for key, action in (("redirect", part.redirect), ("rewrite", part.rewrite)):
        replaces_prefix = action is not None and action.path is not None and action.path.kind == "prefix"
        if replaces_prefix and route.path.kind != "prefix":
            text = f"stands for a prefix, and the route's `path` is {route.path.kind}; write the whole `path`"
            yield (*at, key, "replace_prefix"), text
    for number, mirror in enumerate(part.mirror or ()):
        yield from _known_version(mirror.version, service, (*at, "mirror", number, "version"))
        if mirror.by == "users" and person_of(route, None) is None:
            text = "no rule of the route says who is a user; give a `split` a `sticky` (`split: {v1: 100}` will do)"
            yield (*at, "mirror", number, "by"), text


def _check_sticky(sticky: Sticky, at: Path) -> Iterator[Finding]:
    if not sticky.by and sticky.cookie is None:
        yield at, "nothing to know a person by; add `by:` or `cookie:`"
    if sticky.mode == "pin" and sticky.cookie is None:
        yield (*at, "mode"), "`pin` remembers the version in a cookie; add `cookie:`"
    if sticky.mode != "pin" and sticky.on_zero == "keep":
        yield (*at, "on_zero"), "speaks of pins; add `mode: pin`"


def _check_condition(condition: Condition, at: Path) -> Iterator[Finding]:
    if isinstance(condition, AllOf | AnyOf):
        for part in condition.conditions:
            yield from _check_condition(part, at)
    elif isinstance(condition, Not):
        yield from _check_condition(condition.condition, at)
    elif isinstance(condition, FieldTest):
        yield from _check_values(condition, condition.test, at)


def _check_values(field: FieldTest, test: ValueTest, at: Path) -> Iterator[Finding]:
    """Texts that no such value can be, whatever a client sends."""
    if isinstance(test, NotTest):
        yield from _check_values(field, test.test, at)
    elif isinstance(test, TextTest) and test.kind != "regex" and field.where != "query":
        for text in test.values:
            if any(character in text for character in "\r\n\0"):
                yield at, f"{field.where} '{field.name}' never holds a line break or NUL, as {text!r} does"
            elif test.kind == "in" and text != text.strip(" \t"):
                yield at, f"{field.where} '{field.name}' is compared without spaces at its ends, which {text!r} has"
            elif field.where == "cookie" and ";" in text:
                yield at, f"cookie '{field.name}' never holds a ';', as {text!r} does"


# --- The file's own tests ------------------------------------------------------------------------------------------


class _Names:
    """Every name that a test may expect; gathered once, as there may be many tests."""

    def __init__(self, rule_file: RuleFile) -> None:
        self.services = rule_file.services
        self.versions = dict.fromkeys(name for service in rule_file.services.values() for name in service.versions)
        self.routes = {route.name: dict.fromkeys(rule.name for rule in route.rules) for route in rule_file.routes}
        self.rules = dict.fromkeys(rule.name for route in rule_file.routes for rule in route.rules)


def _check_trial(trial: Trial, names: _Names, at: Path) -> Iterator[Finding]:
    expect = trial.expect
    if expect == Expectation():
        yield (*at, "expect"), "a test expects at least one of service, version, route, rule, reason, status, redirect"
    service = names.services.get(expect.service or "")
    words_of: dict[str, Iterable[str]] = {
        "service": names.services,
        "version": service.versions if service is not None else names.versions,
        "route": names.routes,
        "rule": names.routes.get(expect.route or "", names.rules),
    }
    for key, words in words_of.items():
        word = getattr(expect, key)
        if word and words and word not in words:
            yield (*at, "expect", key), f"unknown {key} '{word}'{known(word, words, 'there are')}"


# --- Names ---------------------------------------------------------------------------------------------------------


def _known_version(name: str, service: Service | None, at: Path) -> Iterator[Finding]:
    if name and service is not None and service.versions and name not in service.versions:
        yield at, f"unknown version '{name}' of service '{service.name}'; it has {listed(service.versions)}"


def _duplicates(names: list[str], at: Path, what: str) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for number, name in enumerate(names):
        first = seen.setdefault(name, number)
        if first != number:
            yield (*at, number, "name"), f"{what} '{name}' stands here twice, first as {what}s[{first}]"
