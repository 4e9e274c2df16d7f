"""How the rules come to a decision, in words: every route, every rule, and why not.

Reads the rule file itself, not the compiled table; only single tests and the split are shared with it. Plain data, so
that the command line, the admin port and tests show the same; `rules.analysis.report` puts it into words and JSON.
"""

from __future__ import annotations

from dataclasses import replace

from proxy.data import dataclass
from proxy.http.message import RequestHead
from proxy.rules import sticky
from proxy.rules.analysis.describe import shown, told_request, told_response, wanted, wanted_path
from proxy.rules.analysis.reach import told_stand_ins
from proxy.rules.changes import leads_away, location
from proxy.rules.conditions import build
from proxy.rules.mirrors import told_copies
from proxy.rules.model import (
    AllOf,
    AnyOf,
    ClientTest,
    Condition,
    FieldTest,
    MethodTest,
    Not,
    PathTest,
    Route,
    Rule,
    RuleFile,
    SchemeTest,
    Service,
)
from proxy.rules.paths import path_test, prefixes
from proxy.rules.person import Sticky
from proxy.rules.pin import Now, Pin, Pinning, Pins, still
from proxy.rules.split import Owner, bucketer, default_salt, owner_of, owners, shares
from proxy.rules.values import reader


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether something holds, why, and the parts it is made of. None: not reached."""

    holds: bool | None
    text: str
    parts: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Share:
    """A version of a split: its part of the traffic, 0 to 1, and its buckets, start <= bucket < end."""

    version: str
    share: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Choice:
    """How a split chose. key: what the person was known by, like `cookie uid`; empty: nothing.

    bucket: -1 without a key. version: empty if it is drawn at random. issues: the cookie that is given to the client.
    pin: with mode pin, what the cookie says and what becomes of it, in words.
    """

    key: str
    value: str
    salt: str
    bucket: int
    version: str
    shares: tuple[Share, ...]
    issues: str = ""
    pin: str = ""


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """One rule. choice: set if the rule was taken and has a split."""

    name: str
    match: Finding
    choice: Choice | None = None


@dataclass(frozen=True, slots=True)
class RouteTrace:
    """One route. outcome: what became of the request here, in words. action: what the route itself would answer."""

    name: str
    service: str
    host: Finding
    path: Finding
    method: Finding
    rules: tuple[RuleTrace, ...]
    outcome: str
    action: Finding | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """What was asked, the routes in the order they were considered, those that do not fit last, and the decision.

    route: empty if no route takes the request (404). version: empty if it is drawn at random, or none. redirect: the
    URL that the client is sent to. request, response: what the rules change of them, in words; what a version changes
    only if it is known. copies: whether mirrors get one, in words. stand_ins: what becomes of it where the version has
    no available endpoint, or fails. Otherwise the words of Decision.
    """

    method: str
    host: str
    path: str
    client: str
    routes: tuple[RouteTrace, ...]
    route: str = ""
    service: str = ""
    version: str = ""
    rule: str = ""
    reason: str = ""
    status: int = 404
    redirect: str = ""
    request: tuple[str, ...] = ()
    response: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    stand_ins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Decided:
    """The end of a trace. taken: the rule, if one decided."""

    service: str
    version: str
    rule: str
    reason: str
    status: int = 0
    redirect: str = ""
    taken: Rule | None = None


def explain(rule_file: RuleFile, head: RequestHead, now: Now = still) -> Trace:
    """Follow one request through a rule file. now: what pins are as old by."""
    pinning = Pinning(rule_file.cookie_keys, now)
    scoped = []
    for order, route in enumerate(rule_file.routes):
        host, host_rank = _host(route, head)
        path, path_rank = _path(route, head, order)
        unfit = not (host.holds and path.holds)
        scoped.append((unfit, (0,) if unfit else (*host_rank, *path_rank, not route.methods), order, host, path, route))
    decided: _Decided | None = None
    traces: list[RouteTrace] = []
    taken: Route | None = None
    for unfit, _, _, host, path, route in sorted(scoped, key=lambda item: item[:3]):
        if unfit or decided is not None:
            method = Finding(None, "not reached")
            outcome = "does not fit" if unfit else "not reached"
            traces.append(RouteTrace(route.name, route.service, host, path, method, (), outcome))
            continue
        trace, decided = _route(route, rule_file.services.get(route.service), host, path, head, pinning)
        traces.append(trace)
        taken = route
    asked = Trace(shown(head.method), shown(head.host), shown(head.path), head.client, tuple(traces))
    if decided is None or taken is None:
        return asked
    return _ended(asked, taken, decided, rule_file, head)


def _ended(asked: Trace, route: Route, decided: _Decided, rule_file: RuleFile, head: RequestHead) -> Trace:
    service = rule_file.services.get(decided.service)
    version = service.versions.get(decided.version) if service is not None else None
    return replace(
        asked,
        route=route.name,
        service=decided.service,
        version=decided.version,
        rule=decided.rule,
        reason=decided.reason,
        status=decided.status,
        redirect=decided.redirect,
        request=() if decided.status else told_request(route, decided.taken, version, head),
        response=told_response(route, decided.taken, version),
        copies=() if decided.status else told_copies(route, decided.taken, decided.version, head),
        stand_ins=() if service is None or version is None else told_stand_ins(service, version.name),
    )


def _host(route: Route, head: RequestHead) -> tuple[Finding, tuple[int, int]]:
    """Whether the host fits, and how well: exact, then the longest wildcard, then none."""
    host = head.host.decode("utf-8", "replace")
    if host in route.hosts:
        return Finding(True, f"host is {host}"), (0, 0)
    fitting = [name for name in route.hosts if name[:1] == "*" and _wildcard(name, host)]
    best = max(fitting, key=len, default=None)
    if best is not None and best != "*":
        return Finding(True, f"host {host} fits {best}"), (1, -best.count("."))
    if best == "*" or not route.hosts:
        return Finding(True, "every host"), (2, 0)
    return Finding(False, f"host is {host or 'absent'}, wanted {' or '.join(route.hosts)}"), (3, 0)


def _wildcard(name: str, host: str) -> bool:
    return name == "*" or (host.endswith(name[1:]) and len(host) > len(name) - 1 and host[:1] != ".")


def _path(route: Route, head: RequestHead, order: int) -> tuple[Finding, tuple[int, int]]:
    """Whether the path fits, and how well: exact, then the longest prefix, then regexes in file order."""
    match = route.path
    holds = bool(path_test(match)(head.path))
    text = f"path {shown(head.path)} {'fits' if holds else 'does not fit'} {wanted_path(match)}"
    if match.kind == "prefix":
        return Finding(holds, text), (1, -prefixes(match.value)[0].count(b"/"))
    return Finding(holds, text), (0, 0) if match.kind == "exact" else (2, order)


def _route(
    route: Route, service: Service | None, host: Finding, path: Finding, head: RequestHead, pinning: Pinning
) -> tuple[RouteTrace, _Decided | None]:
    method, fits = shown(head.method), not route.methods or head.method.decode("latin-1") in route.methods
    asked = Finding(fits, "every method" if not route.methods else f"method is {method}")
    trace = RouteTrace(route.name, route.service, host, path, asked, (), "passed on: method")
    if not fits:
        asked = Finding(False, f"method is {method}, wanted {' or '.join(route.methods)}")
        return replace(trace, method=asked), None
    trace, decided = replace(trace, action=_answer(route, route, head)), None
    if trace.action is not None and trace.action.holds:
        decided = _answered(route, None, head)
    rules: list[RuleTrace] = []
    for rule in route.rules:
        if decided is not None:
            rules.append(RuleTrace(rule.name, Finding(None, "not reached")))
            continue
        found = Finding(True, "takes every request") if rule.match is None else find(rule.match, head)
        action = _answer(rule, route, head) if found.holds else None
        if action is not None:
            found = Finding(action.holds, action.text, (found,))
        splits = found.holds and rule.split is not None
        choice = _choose(rule, route, service, head, pinning) if splits and service is not None else None
        rules.append(RuleTrace(rule.name, found, choice))
        if found.holds:
            decided = _answered(route, rule, head) if action is not None else _led(route, rule, choice)
    outcome = "" if decided is None else f"rule {decided.rule}" if decided.rule else "its own answer"
    if decided is None:
        otherwise = route.otherwise
        if otherwise.kind == "next":
            return replace(trace, rules=tuple(rules), outcome="passed on: otherwise"), None
        decided = _Decided(route.service, otherwise.version, "", "default", otherwise.status)
        outcome = f"otherwise: {otherwise.version or otherwise.status}"
    return replace(trace, rules=tuple(rules), outcome=outcome), decided


def _led(route: Route, rule: Rule, choice: Choice | None) -> _Decided:
    """By a rule to a version."""
    version = rule.version if choice is None else choice.version
    keyed = choice is not None and (choice.key or choice.issues or choice.pin)
    reason = "match" if choice is None else "sticky" if keyed else "weight"
    return _Decided(route.service, version, rule.name, reason, taken=rule)


def _answer(part: Route | Rule, route: Route, head: RequestHead) -> Finding | None:
    """What a route or rule answers by itself, if it would."""
    if part.redirect is not None:
        where = shown(location(part.redirect, route.path)(head))
        if leads_away(part.redirect, route.path)(head):
            return Finding(True, f"redirect {part.redirect.status} to {where}")
        if part.respond is None:
            return Finding(False, f"redirect to {where}: the request is there already")
    return None if part.respond is None else Finding(True, f"respond {part.respond.status}")


def _answered(route: Route, rule: Rule | None, head: RequestHead) -> _Decided:
    part = rule or route
    name, reason = (rule.name, "match") if rule else ("", "default")
    if part.redirect is not None and leads_away(part.redirect, route.path)(head):
        where = location(part.redirect, route.path)(head).decode("utf-8", "replace")
        return _Decided(route.service, "", name, reason, part.redirect.status, where, rule)
    assert part.respond is not None
    return _Decided(route.service, "", name, reason, part.respond.status, taken=rule)


def find(condition: Condition, head: RequestHead) -> Finding:
    """Whether a condition holds, and why; every part is looked at."""
    if isinstance(condition, AllOf | AnyOf):
        parts = tuple(find(part, head) for part in condition.conditions)
        every = isinstance(condition, AllOf)
        verdicts = [bool(part.holds) for part in parts]
        return Finding(all(verdicts) if every else any(verdicts), "all of" if every else "any of", parts)
    if isinstance(condition, Not):
        part = find(condition.condition, head)
        return Finding(not part.holds, "not", (part,))
    holds = bool(build(condition)(head))
    return Finding(
        holds, _words(condition, head) if holds else f"{_words(condition, head)}, wanted {wanted(condition)}"
    )


def _words(condition: FieldTest | MethodTest | SchemeTest | PathTest | ClientTest, head: RequestHead) -> str:
    """What the request says on what a condition asks."""
    if isinstance(condition, FieldTest):
        values = reader(condition.where, condition.name)(head)
        name = f"{condition.where} {condition.name}"
        values = values[:-1] if condition.where == "header" and len(values) > 1 else values
        return f"{name} is {' and '.join(map(shown_quoted, values))}" if values else f"{name}: absent"
    if isinstance(condition, MethodTest):
        return f"method is {shown(head.method)}"
    if isinstance(condition, SchemeTest):
        return f"scheme is {head.scheme.decode()}"
    if isinstance(condition, PathTest):
        return f"path is {shown(head.path)}"
    return f"client is {head.client or 'unknown'}"


def shown_quoted(value: bytes) -> str:
    """A value, cut and in quotes."""
    return f"'{shown(value)}'"


def _choose(rule: Rule, route: Route, service: Service, head: RequestHead, pinning: Pinning) -> Choice:
    assert rule.split is not None
    owned = owners(rule.split.weights, service.stable)
    parts = shares(rule.split.weights)
    listed = tuple(Share(owner.version, parts[owner.version], owner.start, owner.end) for owner in owned)
    only = owned[0].version if len(owned) == 1 else ""
    if rule.sticky is None:
        return Choice("", "", "", -1, only, listed)
    salt = rule.sticky.salt or default_salt(service.name, route.name)
    chosen = _by_key(rule.sticky, salt, owned, listed, head) or Choice("", "", salt, -1, only, listed)
    cookie = rule.sticky.cookie
    if cookie is not None and rule.sticky.mode == "pin":
        pin = Pins(pinning, service.name, salt, cookie.ttl).read(head.cookie(cookie.name.encode()) or b"")
        return _pinned(chosen, cookie.name, pin, rule)
    return chosen if chosen.key or cookie is None else replace(chosen, issues=cookie.name)


def _by_key(
    how: Sticky, salt: str, owned: tuple[Owner, ...], listed: tuple[Share, ...], head: RequestHead
) -> Choice | None:
    for key, read in zip(sticky.keys(how), sticky.key_readers(how), strict=True):
        values = read(head)
        if values and values[0]:
            bucket = bucketer(salt)(values[0])
            name = f"{key.where} {key.name}".rstrip()
            return Choice(name, shown(values[0]), salt, bucket, owner_of(bucket, owned), listed)
    return None


def _pinned(by_key: Choice, name: str, pin: Pin | None, rule: Rule) -> Choice:
    """What a pin makes of what the key would have chosen."""
    if pin is None:
        told = f"none that holds in cookie {name}: set to the version that is chosen here"
    elif pin.version in sticky.kept(rule):
        return replace(by_key, version=pin.version, pin=f"{pin.version}: its weight is 0, and those on it are kept")
    elif any(share.version == pin.version for share in by_key.shares):
        renewed = "" if pin.fresh else f"; cookie {name} is written anew"
        return replace(by_key, version=pin.version, pin=f"{pin.version}, by cookie {name}{renewed}")
    else:
        told = f"{pin.version}, which has no weight here: moves to the version that is chosen here"
    return replace(by_key, issues=name, pin=told)
