"""A trace as a page of text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

from proxy.rules.analysis.explain import Choice, Finding, RouteTrace, Trace
from proxy.rules.split import BUCKETS

UNFIT_SHOWN_MAX: Final = 20
"""Routes that do not fit which a page shows; a file may have thousands."""
_MARKS: Final = {True: "yes", False: "no", None: "-"}


def to_json(trace: Trace) -> dict[str, Any]:
    """The trace in the types of JSON."""
    return asdict(trace)


def render_text(trace: Trace) -> str:
    """The trace as lines to read from top to bottom; the last one is the decision."""
    client = f"  from {trace.client}" if trace.client else ""
    lines = [f"{trace.method} {trace.host}{trace.path}{client}", ""]
    unfit = [route for route in trace.routes if route.outcome == "does not fit"]
    for route in trace.routes:
        if route.outcome != "does not fit":
            lines += [*_route(route), ""]
    if unfit:
        lines.append("routes that do not fit")
        width = max(len(route.name) for route in unfit[:UNFIT_SHOWN_MAX])
        for route in unfit[:UNFIT_SHOWN_MAX]:
            why = route.path if route.host.holds else route.host
            lines.append(f"  {route.name:{width}}  {why.text}")
        if len(unfit) > UNFIT_SHOWN_MAX:
            lines.append(f"  and {len(unfit) - UNFIT_SHOWN_MAX:,} more")
        lines.append("")
    for what, changes in (("request", trace.request), ("response", trace.response)):
        if changes:
            lines += [f"what is changed of the {what}", *(f"  {change}" for change in changes), ""]
    if trace.copies:
        lines += ["what is copied", *(f"  {copy}" for copy in trace.copies), ""]
    if trace.stand_ins:
        lines += ["who stands in", *(f"  {stand_in}" for stand_in in trace.stand_ins), ""]
    return "\n".join([*lines, _decision(trace)])


def _route(route: RouteTrace) -> Iterator[str]:
    service = f"service {route.service}" if route.service else "no service"
    yield f"route {route.name}, {service}: {route.outcome}"
    for finding in (route.host, route.path, route.method, route.action):
        if finding is not None and route.outcome != "not reached":
            yield from _finding(finding, "  ")
    for rule in route.rules:
        if rule.match.holds is None:
            yield f"  -    rule {rule.name}: not reached"
        else:
            yield f"  {_MARKS[rule.match.holds]:5}rule {rule.name}"
            yield from _finding(rule.match, "         ")
        if rule.choice is not None:
            yield from _choice(rule.choice)


def _finding(finding: Finding, indent: str) -> Iterator[str]:
    yield f"{indent}{_MARKS[finding.holds]:5}{finding.text}"
    for part in finding.parts:
        yield from _finding(part, indent + "     ")


def _choice(choice: Choice) -> Iterator[str]:
    indent = "         "
    if choice.pin:
        yield f"{indent}{'pin':8}{choice.pin}"
    if choice.key:
        yield f"{indent}{'key':8}{choice.key} '{choice.value}'"
        yield f"{indent}{'salt':8}{choice.salt}"
        yield f"{indent}{'bucket':8}{choice.bucket:,} of {BUCKETS:,}"
    elif choice.issues:
        yield f"{indent}{'key':8}absent: a random id is given with cookie {choice.issues}"
    else:
        yield f"{indent}{'key':8}none: drawn per request"
    width = max(len(share.version) for share in choice.shares)
    for share in choice.shares:
        mark = "  <-" if share.version == choice.version else ""
        range_ = f"{share.start:>6,} to {share.end - 1:>6,}"
        yield f"{indent}{share.version:{width}}  {range_}  {share.share * 100:6.2f} %{mark}"


def _decision(trace: Trace) -> str:
    if not trace.route:
        return "no route: 404"
    by = f"rule {trace.rule}" if trace.rule else "no rule"
    where = f"route {trace.route}, {by}, reason {trace.reason}"
    if trace.redirect:
        return f"redirect {trace.status} to {trace.redirect}  ({where})"
    if trace.status:
        return f"status {trace.status}  ({where})"
    if not trace.version:
        return f"service {trace.service}, version drawn at random  ({where})"
    return f"service {trace.service}, version {trace.version}  ({where})"
