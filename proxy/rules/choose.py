"""One rule: every decision it can give, ready made, and how one of them is chosen."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import NamedTuple

from proxy.http.message import RequestHead
from proxy.rules import sticky
from proxy.rules.decision import Decision
from proxy.rules.model import Route, Rule, Service
from proxy.rules.person import Sticky, StickyCookie
from proxy.rules.pin import NO_PINNING, Pinning, Pins, known_id
from proxy.rules.split import Weights, bucketer, default_salt, owners, thresholds

Draw = Callable[[], float]
"""A random number, 0 <= n < 1."""
Issue = Callable[[], str]
"""A fresh random id, fit for a cookie's value (RFC 6265 section 4.1.1)."""
Choose = Callable[[RequestHead], Decision]
Ready = dict[str, Decision]
"""The decisions of one rule for one reason, by version."""
ByKey = Callable[[bytes], Decision]


class Choices(NamedTuple):
    """only: the decision, if there can be but one. choose: how one is chosen. decisions: all there can be."""

    only: Decision | None
    choose: Choose
    decisions: tuple[Decision, ...]


def choices(
    route: Route, service: Service | None, rule: Rule, order: int, draw: Draw, issue: Issue,
    pinning: Pinning = NO_PINNING,
) -> Choices:  # fmt: skip
    """What a rule, the order-th of its route, decides once its match holds. service: None if the rule needs none."""

    def ready(reason: str, *versions: str) -> Ready:
        return {
            version: Decision(route.name, route.service, version, rule.name, reason, rule_order=order)
            for version in versions
        }

    action = rule.redirect or rule.respond
    if action is not None:
        return _fixed(Decision(
            route.name, route.service, "", rule.name, "match", rule_order=order, status=action.status, action=action
        ))  # fmt: skip
    assert service is not None
    if rule.split is None:
        return _fixed(ready("match", rule.version)[rule.version])
    weights = rule.split.weights
    versions = [version for version, weight in weights if weight > 0]
    if rule.sticky is None:
        drawn = ready("weight", *versions)
        if len(drawn) == 1:
            return _fixed(drawn[versions[0]])
        return Choices(None, _drawn(weights, drawn, draw), tuple(drawn.values()))
    keyed = ready("sticky", *versions)
    salt = rule.sticky.salt or default_salt(service.name, route.name)
    by_key = _by_key(weights, service.stable, keyed, salt)
    if rule.sticky.mode == "pin" and rule.sticky.cookie is not None:
        kept = ready("sticky", *sticky.kept(rule))
        pins = Pins(pinning, service.name, salt, rule.sticky.cookie.ttl)
        choose = _pinned(rule.sticky, pins, keyed, kept, by_key, issue)
        return Choices(None, choose, (*keyed.values(), *kept.values()))
    if rule.sticky.cookie is not None:
        issued = _issued(rule.sticky.cookie, by_key, issue)
        return Choices(None, _sticky(rule.sticky, by_key, issued), tuple(keyed.values()))
    drawn = ready("weight", *versions)
    choose = _sticky(rule.sticky, by_key, _drawn(weights, drawn, draw))
    return Choices(None, choose, (*keyed.values(), *drawn.values()))


def _fixed(decision: Decision) -> Choices:
    return Choices(decision, lambda head: decision, (decision,))


def _drawn(weights: Weights, ready: Ready, draw: Draw) -> Choose:
    limits, versions = thresholds(weights)
    decisions = tuple(ready[version] for version in versions)
    if len(decisions) == 2:
        limit, (below, above) = limits[0], decisions

        # PERF: 0.6 of the time of a bisection. Defaults lie side by side where the cells of a closure are apart: among
        # 10,000 routes 0.75 of the time of a closure, nearly all of which is waiting for memory.
        def choose(
            head: RequestHead,
            draw: Draw = draw,
            limit: float = limit,
            below: Decision = below,
            above: Decision = above,
        ) -> Decision:
            return below if draw() < limit else above

        return choose
    return lambda head: decisions[bisect_right(limits, draw())]


def _by_key(weights: Weights, stable: str, ready: Ready, salt: str) -> ByKey:
    owned = owners(weights, stable)
    ends = tuple(owner.end for owner in owned)
    decisions = tuple(ready[owner.version] for owner in owned)
    bucket = bucketer(salt)
    return lambda key: decisions[bisect_right(ends, bucket(key))]


def _sticky(how: Sticky, by_key: ByKey, without_key: Choose) -> Choose:
    readers = sticky.key_readers(how)

    def choose(head: RequestHead) -> Decision:
        for read in readers:
            values = read(head)
            if values and values[0]:
                return by_key(values[0])
        return without_key(head)

    return choose


def _issued(cookie: StickyCookie, by_key: ByKey, issue: Issue) -> Choose:
    write = sticky.cookie_writer(cookie)

    def choose(head: RequestHead) -> Decision:
        key = issue()
        return by_key(key.encode()).with_cookie(write(key, head))

    return choose


def _pinned(how: Sticky, pins: Pins, keyed: Ready, kept: Ready, by_key: ByKey, issue: Issue) -> Choose:
    """Who has no pin that holds is hashed, as without pins, and stays there from then on."""
    assert how.cookie is not None
    readers, write, name = sticky.key_readers(how), sticky.cookie_writer(how.cookie), how.cookie.name.encode()

    def choose(head: RequestHead) -> Decision:
        value = head.cookie(name) or b""
        pin = pins.read(value) if value else None
        decision = None
        if pin is not None:
            if pin.version in kept:
                return kept[pin.version]  # never written anew, so that it ends after its ttl
            decision = keyed.get(pin.version)
            if decision is not None and pin.fresh:
                return decision
        known = known_id(value).decode() or issue()
        if decision is None:
            keys = (values[0] for read in readers if (values := read(head)) and values[0])
            decision = by_key(next(keys, known.encode()))
        return decision.with_cookie(write(pins.write(known, decision.version), head))

    return choose
