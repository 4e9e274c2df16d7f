"""What becomes of the requests of one rule of an HTTPRoute: its filters, backends, time-outs, retries and sessions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import field, replace
from functools import partial
from typing import Any, Final

from proxy.data import dataclass
from proxy.imports.draft import Backend, Draft
from proxy.imports.gateway_api import filters
from proxy.imports.gateway_api.backends import BackendRefs, Refused
from proxy.imports.gateway_api.filters import Keys
from proxy.imports.gateway_api.matches import RouteRule
from proxy.imports.manifests import get, items_at, number_at, text_at
from proxy.rules.read.grammar import RETRIES_MAX
from proxy.rules.read.nodes import Node

HEADERS: Final = ("request_headers", "response_headers")
METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
"""Those that the API mirrors: all of them."""
SESSION_COOKIE: Final = "grayhound-session"
"""The cookie of a session whose name the manifests leave open."""
UNITS_MS: Final = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}

_duration = re.compile(r"(?:[0-9]{1,5}(?:h|m|s|ms)){1,4}").fullmatch
_parts = re.compile(r"([0-9]+)(h|ms|m|s)").findall


@dataclass(frozen=True, slots=True)
class Share:
    """A backend, its weight, and changes of headers that are its own."""

    backend: Backend
    node: Node
    weight: int
    changes: Keys


@dataclass(frozen=True, slots=True)
class Mirror:
    """A backend that is sent copies of requests."""

    backend: Backend
    node: Node
    percent: float


@dataclass(slots=True, eq=False)
class Outcome:
    """What becomes of a rule's requests.

    keys: of the rule of the rule file, beside its match and version or split. shares, mirrors: none if the proxy itself
    answers. comments: what was meant.
    """

    rule: RouteRule
    keys: Keys = field(default_factory=dict)
    shares: list[Share] = field(default_factory=list)
    mirrors: list[Mirror] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)

    @property
    def answers(self) -> bool:
        """Whether the proxy itself answers."""
        return "redirect" in self.keys or "respond" in self.keys

    @property
    def void(self) -> bool:
        """Whether it would send clients to where they are."""
        return self.keys.get("redirect") == {}

    def backends(self) -> Iterator[tuple[Backend, Node]]:
        """Every backend that it names, in order."""
        yield from ((share.backend, share.node) for share in self.shares)
        yield from ((mirror.backend, mirror.node) for mirror in self.mirrors)


class Outcomes:
    """Reads rules; what cannot be kept is noted in the draft."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._refs = BackendRefs(draft)

    def read(self, rule: RouteRule) -> Outcome:
        """What becomes of a rule's requests."""
        outcome = Outcome(rule)
        self._filter(outcome, items_at(rule.node, "filters"))
        if not outcome.answers:
            self._lead(outcome)
        if outcome.answers:
            answer = "respond" if "respond" in outcome.keys else "redirect"
            outcome.keys = {key: outcome.keys[key] for key in (answer, "response_headers") if key in outcome.keys}
            outcome.shares, outcome.mirrors = [], []
        else:
            outcome.keys |= _timeouts(rule.node) | self._retry(rule) | self._sticky(outcome)
        if outcome.void:
            what = "its redirect changes nothing but the status, and clients would go in circles: it takes no request"
            self._note(rule, rule.node, f"rule {rule.number} is left out: {what}")
        return outcome

    def _note(self, rule: RouteRule, node: Node, text: str) -> None:
        self._draft.note(rule.route, node, text)

    # --- Where they go ----------------------------------------------------------------------------------------------

    def _lead(self, outcome: Outcome) -> None:
        rule, refs = outcome.rule, items_at(outcome.rule.node, "backendRefs")
        for node in refs:
            own = Outcome(rule)
            self._filter(own, items_at(node, "filters"))
            try:
                backend = self._refs.read(rule.route, node)
            except Refused as refused:
                became = "goes to the others" if len(refs) > 1 else "is answered 500"
                self._note(rule, node, f"the backendRef is not valid: {refused}; what it would get {became}")
                continue
            changes = self._own(outcome, own, node, alone=len(refs) == 1)
            named = replace(backend, changes=repr(changes) if changes else "")
            outcome.shares.append(Share(named, node, number_at(node, "weight", default=1), changes))
        if not any(share.weight for share in outcome.shares) and not outcome.answers:
            outcome.keys |= filters.FAILED
            why = "is valid and has a weight above 0" if refs else "is given"
            outcome.comments.append(f"No backendRef {why}: the API answers 500.")

    def _own(self, outcome: Outcome, own: Outcome, node: Node, *, alone: bool) -> Keys:
        """What filters of a backendRef are done by its version. Those of the only one are done by the rule."""
        if alone:
            outcome.keys |= {
                key: value for key, value in own.keys.items() if key not in HEADERS or key not in outcome.keys
            }
            outcome.mirrors += own.mirrors
        elif own.mirrors or own.keys.keys() - set(HEADERS):
            what = "one of several backendRefs has a filter that is not RequestHeaderModifier or ResponseHeaderModifier"
            self._note(outcome.rule, node, f"{what}: it is left out, as a version changes headers alone")
        return {key: own.keys[key] for key in HEADERS if key in own.keys and own.keys[key] is not outcome.keys.get(key)}

    def _filter(self, outcome: Outcome, nodes: list[Node]) -> None:
        for node in nodes:
            if text_at(node, "type") == "RequestMirror":
                self._mirror(outcome, get(node, "requestMirror"))
            else:
                outcome.keys |= filters.read(node, partial(self._note, outcome.rule, node))

    def _mirror(self, outcome: Outcome, node: Node | None) -> None:
        ref, percent = get(node, "backendRef"), filters.percent(node)
        if ref is None or percent <= 0:
            return
        try:
            outcome.mirrors.append(Mirror(self._refs.read(outcome.rule.route, ref), ref, percent))
        except Refused as refused:
            self._note(outcome.rule, ref, f"the mirror is left out: {refused}")

    # --- How they go ------------------------------------------------------------------------------------------------

    def _retry(self, rule: RouteRule) -> Keys:
        node = get(rule.node, "retry")
        if node is None:
            return {}
        codes = [number_at(each, default=0) for each in items_at(node, "codes")]
        retry: dict[str, Any] = {"on": ["connect_failure", "reset", *(code for code in codes if code >= 500)]}
        attempts = number_at(node, "attempts", default=0)
        if attempts:
            retry = {"attempts": min(attempts, RETRIES_MAX)} | retry
        for wrong, what in (
            (attempts > RETRIES_MAX, f"{attempts} retries become {RETRIES_MAX}, the most there are"),
            (any(code < 500 for code in codes), "statuses under 500 are not retried"),
            (get(node, "backoff") is not None, "`backoff` is left out: retries go at once, within a budget"),
        ):
            if wrong:
                self._note(rule, node, what)
        return {"retry": retry}

    def _sticky(self, outcome: Outcome) -> Keys:
        node = get(outcome.rule.node, "sessionPersistence")
        if node is None or sum(share.weight > 0 for share in outcome.shares) < 2:
            return {}
        if text_at(node, "type") == "Header":
            what = "sessions by a header are left out, as none is issued here"
            self._note(outcome.rule, node, f"{what}; `sticky: {{by: ...}}` reads one that clients send")
            return {}
        given = get(node, "cookie") or get(node, "cookieConfig")
        cookie = {"name": text_at(node, "sessionName") or text_at(given, "name") or SESSION_COOKIE}
        if text_at(given, "path"):
            cookie["path"] = text_at(given, "path")
        if text_at(given, "lifetimeType") == "Permanent":
            cookie["ttl"] = duration(text_at(node, "absoluteTimeout"))
        outcome.comments.append("A session stays with its version whatever the weights become.")
        return {"sticky": {"mode": "pin", "cookie": cookie, "on_zero": "keep"}}


def _timeouts(node: Node) -> Keys:
    words = {"request": text_at(node, "timeouts", "request"), "response": text_at(node, "timeouts", "backendRequest")}
    found = {word: duration(text) for word, text in words.items() if text}
    return {"timeouts": found} if found else {}


def duration(text: str) -> str:
    """A duration of the API, like `1m30s`, as a rule file writes it: one number and one unit."""
    if not _duration(text):
        return text  # whoever reads the rule file says what is wrong
    total = sum(int(number) * UNITS_MS[unit] for number, unit in _parts(text))
    unit = next((unit for unit, length in UNITS_MS.items() if total and total % length == 0), "s")
    return f"{total // UNITS_MS[unit]}{unit}"
