"""Who moves from which version to which, when one set of shares takes the place of another."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from proxy.rules.model import Rule, Service
from proxy.rules.person import StickyKey
from proxy.rules.split import BUCKETS, Owner, owners
from proxy.rules.sticky import keys

Owners = tuple[Owner, ...]


class Spread(NamedTuple):
    """Where requests go: the buckets of each version, and how people come by their bucket (salt and keys); None: drawn
    for each request."""

    owners: Owners
    people: tuple[str, tuple[StickyKey, ...]] | None = None


class Move(NamedTuple):
    """share: 0 to 1, of the requests, or of the people."""

    old: str
    new: str
    share: float


def all_to(where: str) -> Spread:
    """Every request goes there."""
    return Spread((Owner(where, 0, BUCKETS),))


def spread_of(rule: Rule, service: Service) -> Spread:
    """Of a rule with a version or a split."""
    if rule.split is None:
        return all_to(rule.version)
    people = None if rule.sticky is None else (rule.sticky.salt, keys(rule.sticky))
    return Spread(owners(rule.split.weights, service.stable), people)


def moves(old: Spread, new: Spread) -> list[Move]:
    """What changes, the largest first; nothing for those who stay.

    People keep their bucket as long as salt and keys stay; where these change, everybody is dealt anew. What is drawn
    for each request has nobody to move: there it is the change of shares.
    """
    kept = old.people is not None and old.people == new.people
    overlap = _same_people if kept else _drawn if old.people is new.people is None else _dealt_anew
    made = [Move(*names, share) for names, share in overlap(old.owners, new.owners).items() if share > 0]
    return sorted((move for move in made if move.old != move.new), key=lambda move: (-move.share, move))


def _same_people(old: Owners, new: Owners) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = defaultdict(float)
    for mine in old:
        for theirs in new:
            both = min(mine.end, theirs.end) - max(mine.start, theirs.start)
            found[mine.version, theirs.version] += max(0, both) / BUCKETS
    return found


def _dealt_anew(old: Owners, new: Owners) -> dict[tuple[str, str], float]:
    return {(a, b): mine * theirs for a, mine in _shares(old).items() for b, theirs in _shares(new).items()}


def _drawn(old: Owners, new: Owners) -> dict[tuple[str, str], float]:
    before, after = _shares(old), _shares(new)
    gains = {name: gain for name, share in after.items() if (gain := share - before.get(name, 0.0)) > 0}
    total = sum(gains.values())
    return {
        (name, other): loss * gain / total
        for name, share in before.items()
        if (loss := share - after.get(name, 0.0)) > 0
        for other, gain in gains.items()
    }


def _shares(owned: Owners) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for owner in owned:
        found[owner.version] += (owner.end - owner.start) / BUCKETS
    return found
