"""What a rollout says of the rest of the file: a route and a rule with a split of both versions, weights that rise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from proxy.rules.model import Route, Rule
from proxy.rules.read.nodes import Path
from proxy.rules.read.shapes import known
from proxy.rules.rollouts import Rollout

Finding = tuple[Path, str]


def check_rollouts(rollouts: Mapping[str, Rollout], routes: Sequence[Route]) -> Iterator[Finding]:
    """Every fault of the rollouts."""
    movers: dict[tuple[str, str], str] = {}
    by_name = {route.name: route for route in routes}
    for name, rollout in rollouts.items():
        at: Path = ("rollouts", name)
        yield from _check_steps(rollout, (*at, "steps"))
        route = by_name.get(rollout.route)
        if route is None:
            if by_name and rollout.route:
                yield (*at, "route"), f"unknown route '{rollout.route}'{known(rollout.route, by_name, 'there are')}"
            continue
        yield from _check_rule(rollout, route, at)
        first = movers.setdefault((route.name, rollout.rule), name)
        if first != name and rollout.rule:
            yield (*at, "rule"), f"rollout '{first}' moves the weights of rule '{rollout.rule}' already"


def _check_steps(rollout: Rollout, at: Path) -> Iterator[Finding]:
    before = 0.0
    for number, step in enumerate(rollout.steps):
        if step.weight <= before:
            yield (*at, number, "weight"), f"weights rise from step to step: {step.weight:g} comes after {before:g}"
        before = step.weight


def _check_rule(rollout: Rollout, route: Route, at: Path) -> Iterator[Finding]:
    rules = {rule.name: rule for rule in route.rules}
    rule = rules.get(rollout.rule)
    if rule is None:
        if not rollout.rule:
            yield at, f"route '{route.name}' has no rule without match that has a split: name the `rule`"
        else:
            hint = known(rollout.rule, rules, "it has")
            yield (*at, "rule"), f"unknown rule '{rollout.rule}' of route '{route.name}'{hint}"
    elif rule.split is None:
        yield (*at, "rule"), f"rule '{rule.name}' has no `split` whose weights could be moved"
    else:
        yield from _check_versions(rollout, rule, [version for version, _ in rule.split.weights], at)


def _check_versions(rollout: Rollout, rule: Rule, versions: list[str], at: Path) -> Iterator[Finding]:
    for key, version in (("from", rollout.old), ("to", rollout.new)):
        if version and version not in versions:
            yield (*at, key), f"version '{version}' is not in the split of rule '{rule.name}': {', '.join(versions)}"
    if rollout.old and rollout.old == rollout.new:
        yield (*at, "to"), f"`from` and `to` are both '{rollout.new}'"
