"""Paths and `rewrite-target` as nginx reads them -> the path and rewrite of a route.

With `use-regex`, or a `rewrite-target` that changes something, paths are regexes in nginx. A prefix and a tail, like
`/shop(/|$)(.*)`, becomes that prefix here, and a target that ends in the tail replaces it. Other regexes stay regexes;
prefixes of the same host that would come before them and are shorter become regexes too, as the longest path is the
first one in nginx, and here any prefix is.
"""

from __future__ import annotations

import re
from dataclasses import field
from typing import Any

from proxy.data import dataclass
from proxy.imports import pcre
from proxy.imports.draft import Draft
from proxy.imports.locations import Location, annotation
from proxy.rules.read import units

_TAILS = {  # the end of a path, and which group holds what comes after the prefix and a slash
    "(/|$)(.*)": 2,
    "(?:/|$)(.*)": 1,
    "/?(.*)": 1,
    "/(.*)": 1,
    "(.*)": 1,
    "(/.*)?": 0,
    "/.*": 0,
    ".*": 0,
    "": 0,
}
_with_tail = re.compile(
    rf"\^?(?P<base>/[A-Za-z0-9/_.~-]*?)(?P<tail>{'|'.join(map(re.escape, _TAILS))})\$?", re.DOTALL
).fullmatch
_literal_head = re.compile(r"\^?(?P<head>[A-Za-z0-9/_~-]*)").match
_group = re.compile(r"\$(?:\{([0-9])\}|([0-9]))")


@dataclass(slots=True)
class Place:
    """The path of a route, and what becomes of it on the way to the service."""

    location: Location
    kind: str
    """`exact`, `prefix` or `regex`, as in a rule file."""
    value: str
    rewrite: dict[str, Any] = field(default_factory=dict)
    target: str = ""
    """The `rewrite-target` that this is, for a comment."""

    @property
    def path(self) -> Any:
        return self.value if self.kind == "prefix" else {self.kind: self.value}


def places(locations: list[Location], draft: Draft) -> list[Place]:
    """The places of all locations, regexes last, from the longest path to the shortest."""
    found = [place for location in locations if (place := _place(location, draft)) is not None]
    by_host: dict[str, list[Place]] = {}
    for place in found:
        if place.kind == "regex":
            by_host.setdefault(place.location.scope.host, []).append(place)
    for place in found:
        regexes = by_host.get(place.location.scope.host, [])
        if place.kind == "prefix" and any(_shadows(place, regex) for regex in regexes):
            _as_regex(place, draft)
    last = sorted(
        (place for place in found if place.kind == "regex"), key=lambda place: -len(place.location.scope.path)
    )
    return [place for place in found if place.kind != "regex"] + last


def is_regex(location: Location) -> bool:
    """Whether nginx takes the path of a location for a regex."""
    use, target = annotation(location.ingress, "use-regex"), annotation(location.ingress, "rewrite-target")
    rewritten = target is not None and target.text.strip() not in ("", location.scope.path)
    return rewritten or (use is not None and use.text.strip().lower() == "true")


def _place(location: Location, draft: Draft) -> Place | None:
    path, kind = location.scope.path, location.scope.kind
    node = location.backends[0].node
    target = annotation(location.ingress, "rewrite-target")
    try:
        if not is_regex(location):
            units.path(path)
            if kind == "ImplementationSpecific":
                _note_elements(path, location, draft)
            return Place(location, "exact" if kind == "Exact" else "prefix", path)
        tailed = _with_tail(path)
        if tailed is None:
            place, rest = Place(location, "regex", _regex(path)), 0
        else:
            place, rest = Place(location, "prefix", units.path(tailed["base"] or "/")), _TAILS[tailed["tail"]]
            if not tailed["tail"] and kind == "Exact":
                place.kind = "exact"
            elif not tailed["tail"].startswith(("/.", "/(", "(/", "(?:/")):
                _note_elements(place.value, location, draft)
    except ValueError as error:
        draft.note(location.ingress, node, f"path {path} is left out: {error}")
        return None
    if target is not None and target.text.strip() not in ("", path):
        try:
            place.rewrite, place.target = _rewrite(target.text.strip(), place, rest), target.text.strip()
        except ValueError as error:
            draft.note(location.ingress, target, f"rewrite-target is left out for path {path}: {error}")
    return place


def _note_elements(path: str, location: Location, draft: Draft) -> None:
    if not path.endswith("/"):
        text = f"path {path} stands for whole elements here; nginx took {path}x as well"
        draft.note(location.ingress, location.backends[0].node, text)


def _regex(path: str) -> str:
    """As nginx has it on a host with regexes: from the beginning on, without regard to case."""
    pattern = f"(?i)^{path.removeprefix('^')}"
    if "regex" not in pcre.value_test(pattern):
        raise ValueError("it needs a look-ahead, which RE2 has not")
    return pattern


def _rewrite(target: str, place: Place, rest: int) -> dict[str, Any]:
    """A whole path, or a prefix in place of the route's. Raises ValueError where it is neither."""
    groups = [int(braced or plain) for braced, plain in _group.findall(target)]
    if not groups:
        return {"path": units.request_path(target)}
    tail = _group.search(target)
    whole_rest = tail is not None and tail.end() == len(target) and groups == [rest] and rest
    base = target[: tail.start()] if tail is not None else target
    if not whole_rest or not base.endswith("/") or place.kind != "prefix":
        raise ValueError("only a whole path, or one that ends in what comes after the prefix, can be kept")
    return {"replace_prefix": units.path(base if base == "/" else base.removesuffix("/"))}


def _shadows(place: Place, regex: Place) -> bool:
    """Whether a prefix would take requests that nginx gave to a regex of its host."""
    head = _literal_head(regex.location.scope.path)
    known = head["head"] if head is not None else ""
    overlaps = known.startswith(place.value) or place.value.startswith(known)
    return overlaps and len(place.location.scope.path) < len(regex.location.scope.path)


def _as_regex(place: Place, draft: Draft) -> None:
    if "replace_prefix" in place.rewrite:
        text = f"path {place.value} comes before the longer regexes of its host here, in nginx after them"
        draft.note(place.location.ingress, place.location.backends[0].node, text)
        return
    place.kind, place.value = "regex", _regex(place.location.scope.path)
