"""Which requests are copied to which versions: a share of all, or all of a share of people."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from proxy.http.message import RequestHead
from proxy.rules.actions import Mirror
from proxy.rules.analysis.describe import shown
from proxy.rules.model import Route, Rule, RuleFile
from proxy.rules.person import Sticky
from proxy.rules.split import BUCKETS, bucketer
from proxy.rules.sticky import key_readers, keys


def mirrors_of(route: Route, rule: Rule | None) -> tuple[Mirror, ...]:
    """Those of the requests that this rule takes, or that none does: what the rule says of it, else the route.

    A version gets no copies of what it answers itself.
    """
    said = route.mirror if rule is None or rule.mirror is None else rule.mirror
    own = route.otherwise.version if rule is None else rule.version
    return tuple(mirror for mirror in said if mirror.percent > 0 and mirror.version != own)


def mirrored(rule_file: RuleFile) -> list[tuple[str, str]]:
    """Each service and version that copies may be sent to."""
    return sorted({found for route in rule_file.routes for found in mirrored_by(route)})


def mirrored_by(route: Route) -> Iterator[tuple[str, str]]:
    """Those of one route, some of them more than once."""
    for rule in (None, *route.rules):
        for mirror in mirrors_of(route, rule):
            yield route.service, mirror.version


def told_copies(route: Route, rule: Rule | None, version: str, head: RequestHead) -> tuple[str, ...]:
    """Of each mirror whether the request is copied to it, in words. version: that answers it, empty if it is drawn."""
    told = []
    for mirror in mirrors_of(route, rule):
        if mirror.version == version:
            continue
        words = _told(mirror, person_of(route, rule), head)
        drawn_from = rule.split.weights if not version and rule is not None and rule.split is not None else ()
        may_answer = any(name == mirror.version and weight for name, weight in drawn_from)
        told.append(f"to {mirror.version}: {words}" + (f"; not if {mirror.version} answers" if may_answer else ""))
    return tuple(told)


def person_of(route: Route, rule: Rule | None) -> Sticky | None:
    """How people are known where this rule takes a request, or none does: its `sticky`, else the route's first."""
    if rule is not None and rule.sticky is not None:
        return rule.sticky
    return next((one.sticky for one in route.rules if one.sticky is not None), None)


def mirror_salt(sticky: Sticky, version: str) -> str:
    """What a person's key is hashed with here. Not the split's own salt: its new versions own the buckets from the
    left, so the people copied first would be those who are on the new version already."""
    return f"{sticky.salt}/mirror/{version}"


def last_bucket(share: float) -> int:
    """People in buckets below this are copied."""
    return round(share * BUCKETS)


def sampler(mirror: Mirror, sticky: Sticky | None, draw: Callable[[], float]) -> Callable[[RequestHead], bool]:
    """Whether a request is copied. Of users: who brings no key is drawn."""
    share = mirror.percent
    if share >= 1:
        return lambda head: True
    if mirror.by == "requests" or sticky is None:
        return lambda head: draw() < share
    readers, bucket, end = key_readers(sticky), bucketer(mirror_salt(sticky, mirror.version)), last_bucket(share)

    def by_person(head: RequestHead) -> bool:
        for read in readers:
            values = read(head)
            if values and values[0]:
                return bucket(values[0]) < end
        return draw() < share

    return by_person


def _told(mirror: Mirror, sticky: Sticky | None, head: RequestHead) -> str:
    if head.method.decode("latin-1") not in mirror.methods:
        return f"no, method is {shown(head.method)}, wanted {' or '.join(mirror.methods)}"
    if mirror.percent >= 1:
        return "yes"
    if mirror.by == "users" and sticky is not None:
        for key, read in zip(keys(sticky), key_readers(sticky), strict=True):
            values = read(head)
            if values and values[0]:
                bucket, end = bucketer(mirror_salt(sticky, mirror.version))(values[0]), last_bucket(mirror.percent)
                name = f"{key.where} {key.name}".rstrip()
                return f"{'yes' if bucket < end else 'no'}, {name} is in bucket {bucket:,}, wanted below {end:,}"
    return f"drawn, {mirror.percent * 100:.4g} % are"
