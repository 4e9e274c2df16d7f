"""The `canary-*` annotations of ingress-nginx -> rules, in the order in which it looked: header, cookie, weight.

Each is looked at only if the one before did not decide. So the weight divides those whom no header or cookie has sent
anywhere, and is the last rule. Where several canaries stand beside one main Service, ingress-nginx took the first one
alone; here all of them count, and the weight of each is its share of everybody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from math import lcm
from typing import Any, Final

from proxy.data import dataclass
from proxy.imports import pcre
from proxy.imports.draft import Draft, Part, ServiceDraft
from proxy.imports.locations import Location, Named, annotation, is_canary, sent_value
from proxy.imports.manifests import Object
from proxy.rules.read import units

TOTAL_MIN: Final = 100
"""What a weight is a part of; a smaller `canary-weight-total` counts as this."""
_KEYS: Final = ("by-header", "by-header-value", "by-header-pattern", "by-cookie", "weight", "weight-total")


@dataclass(frozen=True, slots=True)
class Canary:
    """A canary of a location. weight: None if the Ingress has none."""

    named: Named
    version: str
    weight: int | None
    total: int


def canary_rules(location: Location, service: ServiceDraft, sticky: dict[str, Any] | None, draft: Draft) -> list[Part]:
    """The rules of a location's canaries. The service has their versions already. sticky: how people stay on one."""
    main = service.versions[location.backends[0].backend]
    canaries = [_canary(named, service.versions[named.backend], draft) for named in location.canaries]
    for further in canaries[1:]:
        text = "ingress-nginx took one canary alone for a path, the first; here each of them takes its requests"
        draft.note(further.named.ingress, further.named.node, text)
    rules = [rule for canary in canaries for rule in _by_header(canary, main, draft)]
    rules += [rule for canary in canaries for rule in _by_cookie(canary, main, draft)]
    if sticky is not None:
        rules = [_pinned(rule, main, sticky) for rule in rules]
    weighted = [canary for canary in canaries if canary.weight is not None]
    return [*rules, _by_weight(weighted, main, sticky)] if weighted else rules


def note_disabled(ingress: Object, draft: Draft) -> None:
    """Note the canary annotations of an Ingress that is none of a canary."""
    for key in _KEYS:
        value = annotation(ingress, f"canary-{key}")
        if value is not None and not is_canary(ingress):
            draft.note(ingress, value, f"canary-{key} is without effect: the Ingress has no canary: 'true'")


def _by_header(canary: Canary, main: str, draft: Draft) -> Iterator[Part]:
    ingress = canary.named.ingress
    header = _text(ingress, "by-header")
    value, pattern = _text(ingress, "by-header-value"), _text(ingress, "by-header-pattern")
    if not header or not _fits(canary, "by-header", units.token, draft):
        return
    if value:
        said = [f"{ingress.label}: canary-by-header: {header}, canary-by-header-value: {value}"]
        if _fits(canary, "by-header-value", lambda text: sent_value("header", text), draft):
            yield _rule(f"{ingress.name} header", {"header": {header: value}}, canary.version, said)
    elif pattern:
        yield from _by_pattern(canary, main, header, pattern, draft)
    else:
        yield from _always_never(canary, main, "header", header)


def _by_pattern(canary: Canary, main: str, header: str, pattern: str, draft: Draft) -> Iterator[Part]:
    ingress = canary.named.ingress
    said = [f"{ingress.label}: canary-by-header: {header}, canary-by-header-pattern: {pattern}"]
    test: dict[str, Any]
    try:
        test, version = pcre.value_test(pattern), canary.version
    except ValueError as error:
        value = annotation(ingress, "canary-by-header-pattern")
        assert value is not None  # it is what the pattern was read from
        if not pcre.is_broken(pattern):
            draft.note(ingress, value, f"canary-by-header-pattern is left out: {error}")
            return
        stays = f"requests with header {header} stay on {main}, as nginx had it with a broken regex"
        draft.note(ingress, value, f"canary-by-header-pattern: {pattern!r} is no regex: {stays}")
        test, version = {"present": True}, main
    if "not" in test:
        yield _rule(
            f"{ingress.name} header",
            {"all": [{"header": {header: each}} for each in (test, {"present": True})]},
            version,
            said,
        )
    else:
        yield _rule(f"{ingress.name} header", {"header": {header: test}}, version, said)


def _by_cookie(canary: Canary, main: str, draft: Draft) -> Iterator[Part]:
    cookie = _text(canary.named.ingress, "by-cookie")
    if cookie and _fits(canary, "by-cookie", units.token, draft):
        yield from _always_never(canary, main, "cookie", cookie)


def _always_never(canary: Canary, main: str, where: str, name: str) -> Iterator[Part]:
    ingress = canary.named.ingress
    for word, version in (("always", canary.version), ("never", main)):
        said = [f"{ingress.label}: canary-by-{where}: {name}"] if word == "always" else []
        yield _rule(f"{ingress.name} {where} {word}", {where: {name: word}}, version, said)


def _pinned(rule: Part, main: str, sticky: dict[str, Any]) -> Part:
    """Whom a header or cookie has sent to a version stays there, as with the affinity of ingress-nginx."""
    version = rule.keys.pop("version")
    split = {main: 0} | {version: 100}
    return Part(rule.keys | {"split": split, "sticky": sticky}, rule.comments)


def _by_weight(canaries: list[Canary], main: str, sticky: dict[str, Any] | None) -> Part:
    """One split: the main version has what the canaries leave of the whole."""
    whole = lcm(*(canary.total for canary in canaries))
    split = {main: 0}
    said = []
    for canary in canaries:
        weight = canary.weight or 0
        split[canary.version] = split.get(canary.version, 0) + weight * (whole // canary.total)
        said.append(f"{canary.named.ingress.label}: canary-weight: {weight} of {canary.total}")
    split[main] = max(0, whole - sum(split.values()))
    keys: dict[str, Any] = {"name": "canary-weight", "split": split}
    if sticky is not None:
        keys["sticky"] = sticky
        said.append("Who is on a canary leaves it when its weight is 0; ingress-nginx let them stay: `on_zero: keep`.")
    return Part(keys, said)


def _canary(named: Named, version: str, draft: Draft) -> Canary:
    total = _number(named.ingress, "weight-total", draft)
    total = max(TOTAL_MIN, TOTAL_MIN if total is None else total)
    weight = _number(named.ingress, "weight", draft)
    if not any(annotation(named.ingress, f"canary-{key}") for key in ("by-header", "by-cookie", "weight")):
        draft.note(
            named.ingress, named.node, "no request goes to this canary: it has neither header, cookie nor weight"
        )
    return Canary(named, version, None if weight is None else min(max(weight, 0), total), total)


def _number(ingress: Object, key: str, draft: Draft) -> int | None:
    value = annotation(ingress, f"canary-{key}")
    if value is None:
        return None
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", value.text.strip()):
        taken = "0" if key == "weight" else str(TOTAL_MIN)
        draft.note(
            ingress, value, f"canary-{key}: {value.text!r} is no number, and is taken as {taken}, as in ingress-nginx"
        )
        return 0 if key == "weight" else None
    return int(value.text)


def _fits(canary: Canary, key: str, check: Callable[[str], object], draft: Draft) -> bool:
    """Whether an annotation passes a check, which raises ValueError; noted if not."""
    value = annotation(canary.named.ingress, f"canary-{key}")
    try:
        check(value.text.strip() if value is not None else "")
    except ValueError as error:
        if value is not None:
            draft.note(canary.named.ingress, value, f"canary-{key} is left out: {error}")
        return False
    return True


def _text(ingress: Object, key: str) -> str:
    value = annotation(ingress, f"canary-{key}")
    return value.text.strip() if value is not None else ""


def _rule(name: str, match: dict[str, Any], version: str, said: list[str]) -> Part:
    return Part({"name": name, "match": match, "version": version}, said)
