"""`service-match` and `service-weight`, as Alibaba Cloud's ACK Ingress had them, -> rules.

A path that leads to several Services is a group of versions. A match names one of them; who does not match it stays on
the old one, which no match names. A weight divides those who match, or everybody if there is no match:

    match configured | the request matches | weights configured | goes to
    no               | -                   | no                 | all versions evenly
    no               | -                   | yes                | by weight
    yes              | no                  | either             | the old version
    yes              | yes                 | no                 | the version that the match names
    yes              | yes                 | yes                | by weight, between that one and the old one

Weights are relative; a Service of the group that is given none has 100.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import unquote_plus

from proxy.data import dataclass
from proxy.imports import pcre
from proxy.imports.draft import Draft, Part, ServiceDraft
from proxy.imports.locations import Location, Named, annotation, sent_value
from proxy.imports.manifests import Object
from proxy.rules.read import units
from proxy.rules.read.ack import FORM, read_ack

WEIGHT_DEFAULT: Final = 100
"""Of a Service that its group's `service-weight` does not name."""

_call = re.compile(FORM, re.DOTALL).match
_entry = re.compile(r"(?:^|(?<=[,;\n)]))\s*([\w-]+)\s*:\s*(?=(?:header|cookie|query)\()", re.ASCII)
_comment_line = re.compile(r"^\s*#.*$", re.MULTILINE)
_HINT: Final = "`sticky: {cookie: {name: gray, ttl: 8h}}` beside the split would keep a person on one version"


@dataclass(frozen=True, slots=True)
class Match:
    """What `service-match` says of one Service: the text after its name, and the condition it is."""

    text: str
    condition: Any


class Release:
    """A path that leads to several Services, and what the annotations of its Ingress say of them."""

    def __init__(self, location: Location, draft: Draft) -> None:
        self._group = {named.backend.name: named for named in reversed(location.backends)}  # of equal names, the first
        names = [named.backend.name for named in location.backends]
        self._matches = {name: match for name, match in matches(location.ingress, draft).items() if name in names}
        said = {name: weight for name, weight in weights(location.ingress, draft).items() if name in names}
        self._said = said if any(_weight(said, name) for name in names) else {}
        unnamed = [name for name in names if name not in (self._matches or (said if len(said) == 1 else ()))]
        self._old = (unnamed or names)[0]

    @property
    def old(self) -> Named:
        """The old version: the first Service that no match names, or else that no weight names, or else the first."""
        return self._group[self._old]

    def rules(self, service: ServiceDraft) -> list[Part]:
        """The rules of the group, whose versions the service has already."""
        versions = {name: service.versions[named.backend] for name, named in self._group.items()}
        if self._matches:
            return [self._match(name, match, versions) for name, match in self._matches.items() if name != self._old]
        return [self._everybody(versions)]

    def _match(self, name: str, match: Match, versions: dict[str, str]) -> Part:
        rule = Part({"name": f"service-match {name}", "match": match.condition})
        rule.comments.append(f"service-match: {name}: {match.text}")
        shares = {versions[each]: _weight(self._said, each) for each in (self._old, name)}
        if not self._said or not any(shares.values()):
            rule.keys["version"] = versions[name]
            return rule
        rule.keys["split"] = shares
        rule.comments.append(f"service-weight divides those who match: {_listed(self._said)}")
        rule.comments.append(f"Everyone else stays on {versions[self._old]}. {_HINT}.")
        return rule

    def _everybody(self, versions: dict[str, str]) -> Part:
        shares = {version: _weight(self._said, name) for name, version in versions.items()}
        if not self._said:
            text = "Several Services on one path, and no annotation that divides: evenly, as ACK did."
            return Part({"name": "evenly", "split": dict.fromkeys(shares, 1)}, [text])
        rule = Part({"name": "service-weight", "split": shares}, [f"service-weight: {_listed(self._said)}"])
        if implied := [name for name in versions if name not in self._said]:
            rule.comments.append(f"A Service without a weight has {WEIGHT_DEFAULT}: {', '.join(implied)}.")
        rule.comments.append(f"{_HINT}.")
        return rule


def note_idle(ingress: Object, groups: list[Location], draft: Draft) -> None:
    """Note what the annotations of an Ingress say of Services that stand beside no other one on any of its paths."""
    grouped = {named.backend.name for location in groups for named in location.backends}
    for name, said in (("service-match", matches(ingress, draft)), ("service-weight", weights(ingress, draft))):
        value = annotation(ingress, name)
        for service in said:
            if value is not None and service not in grouped:
                text = f"{name} says nothing: no path of this Ingress leads to Service {service} and to another one"
                draft.note(ingress, value, text)


def matches(ingress: Object, draft: Draft) -> dict[str, Match]:
    """By Service, in the order of the annotation; what is no match is noted."""
    value = annotation(ingress, "service-match")
    if value is None:
        return {}
    said = _comment_line.sub("", value.text)
    entries = list(_entry.finditer(said))
    starts = [*(entry.start() for entry in entries), len(said)]
    if said[: starts[0]].strip():
        draft.note(ingress, value, f"service-match: left out: {said[: starts[0]].strip()!r} is no SERVICE: MATCH")
    found: dict[str, Match] = {}
    for entry, end in zip(entries, starts[1:], strict=True):
        name, text = entry[1], said[entry.end() : end].strip().rstrip(",;").rstrip()
        try:
            match = Match(text, _condition(text))
        except ValueError as error:
            stays = f"left out, so who matched it stays on the old version: {error}"
            draft.note(ingress, value, f"service-match: {name}: {text}: {stays}")
            continue
        if name in found:
            draft.note(ingress, value, f"service-match names {name} twice: the last one counts, as in ACK")
        if "%" in text and text.startswith("query"):
            draft.note(ingress, value, f"service-match: {text}: arguments are compared decoded here, in ACK as sent")
        found[name] = match
    return found


def _condition(text: str) -> Any:
    """The condition of a call: the same text, where it means the same here. Raises ValueError."""
    call = _call(text)
    if call is None:
        raise ValueError('expected header, cookie or query with ("name", /regex/) or ("name", "text")')
    where, name, value = call[1], call[2], call[3][1:-1]
    if call[3][0] == "/":
        test = pcre.value_test(value)
        if pcre.finds_empty(test):  # to ACK an absent value is an empty one
            absent = {where: {name: {"present": False}}}
            return {where: {name: test}} if "not" in test else {"any": [{where: {name: test}}, absent]}
        if "not" in test:
            return {"all": [{where: {name: test}}, {where: {name: {"present": True}}}]}
    elif where != "query":
        sent_value(where, value)
    elif unquote_plus(value) != value:
        return {where: {name: unquote_plus(value)}}
    read_ack(text)  # which says what is wrong with it
    return text


def weights(ingress: Object, draft: Draft) -> dict[str, int]:
    """By Service, in the order of the annotation; what is no weight is noted."""
    value = annotation(ingress, "service-weight")
    if value is None:
        return {}
    found: dict[str, int] = {}
    for entry in value.text.split(","):
        name, colon, number = (part.strip() for part in entry.partition(":"))
        if not entry.strip():
            continue
        if not name or not colon or not re.fullmatch(r"[+-]?[0-9]+", number):
            draft.note(ingress, value, f"service-weight: left out: {entry.strip()!r} is no SERVICE: NUMBER")
        elif int(number) < 0:
            draft.note(ingress, value, f"service-weight: {name}: {number} is taken as 0")
            found[name] = 0
        else:
            found[name] = min(int(number), int(units.WEIGHT_MAX))
    if found and not any(found.values()) and len(found) > 1:
        draft.note(ingress, value, "service-weight is without effect, as in ACK: every weight is 0")
        return {}
    return found


def _weight(said: dict[str, int], name: str) -> int:
    return said.get(name, WEIGHT_DEFAULT)


def _listed(said: dict[str, int]) -> str:
    return ", ".join(f"{name}: {weight}" for name, weight in said.items())
