"""Scopes -> routes of a draft, and the services that they lead to."""

from __future__ import annotations

from itertools import count, filterfalse, groupby

from proxy.imports.draft import Draft, Part, ServiceDraft
from proxy.imports.gateway_api.filters import Keys
from proxy.imports.gateway_api.gateways import Schemes
from proxy.imports.gateway_api.matches import whole
from proxy.imports.gateway_api.order import Scope, Step
from proxy.imports.gateway_api.outcome import METHODS, Outcome


class Writer:
    """Adds scopes to a draft. schemes: those that requests come over."""

    def __init__(self, draft: Draft, schemes: Schemes) -> None:
        self._draft = draft
        self._schemes = schemes
        self._services: dict[str, ServiceDraft] = {}

    def add(self, scope: Scope) -> None:
        """A route with a rule for each step; steps of one rule of the API that follow on each other are one."""
        service = self._service(scope)
        names: set[str] = set()
        groups = groupby(scope.steps, key=lambda step: (id(step.outcome), step.schemes, bool(self._asks(step))))
        rules = [self._rule(list(steps), service, names) for _, steps in groups]
        keys: Keys = {"name": self._title(scope), "hosts": scope.hosts}
        if scope.hosts == [""]:
            del keys["hosts"]
        keys["path"] = {"exact": scope.path.value} if scope.path.kind == "exact" else scope.path.value
        if service is not None:
            keys["service"] = service.name
        keys |= self._end(scope, rules)
        self._draft.routes.append(Part(keys, _comments(scope)))

    def finish(self) -> None:
        """Say of services what can be said when all are known."""
        for service in self._services.values():
            if len(service.versions) > 1:
                service.part.keys["fallback"] = "none"
                service.part.comments.append("A version without an available endpoint answers 503, as the API has it.")

    def _title(self, scope: Scope) -> str:
        name = scope.steps[0].match.rule.route.name if scope.steps else "end of"
        return self._draft.title(f"{name} {scope.hosts[0]}{scope.path.value}")

    def _end(self, scope: Scope, rules: list[Part]) -> Keys:
        """The rules, and what becomes of requests that none of them takes."""
        last = scope.steps[-1] if scope.steps else None
        # A redirect does not take those who are there already.
        if last and not self._asks(last) and "redirect" not in last.outcome.keys:
            return {"rules": rules}
        if scope.ends == self._schemes:
            return {"rules": rules, "otherwise": {"status": 404}} if rules else {"respond": {"status": 404}}
        for scheme in sorted(scope.ends):
            rules.append(Part({"name": f"end of {scheme}", "match": {"scheme": scheme}, "respond": {"status": 404}}))
        return {"rules": rules, "otherwise": "next"}

    # --- Services ---------------------------------------------------------------------------------------------------

    def _service(self, scope: Scope) -> ServiceDraft | None:
        """The service of a scope's backends; stable is the first of the last rule, which takes what others leave."""
        leading = [step.outcome for step in scope.steps if step.outcome.shares]
        if not leading:
            return None
        last = leading[-1]
        for outcome in (last, *leading):
            service = self._draft.service(last.shares[0].backend, outcome.rule.route.label)
            for share in outcome.shares:
                name = self._draft.version(service, share.backend, outcome.rule.route, share.node)
                service.part.keys["versions"].keys[name] |= share.changes
        for outcome in leading:
            for mirror in outcome.mirrors:
                self._draft.version(service, mirror.backend, outcome.rule.route, mirror.node)
        self._services[service.name] = service
        return service

    # --- Rules ------------------------------------------------------------------------------------------------------

    def _rule(self, steps: list[Step], service: ServiceDraft | None, names: set[str]) -> Part:
        """One rule of steps that have one outcome."""
        outcome = steps[0].outcome
        keys: Keys = {"name": _unused(outcome.rule.title, names)}
        match = _any([self._asks(step) for step in steps])
        if match:
            keys["match"] = match
        if service is not None:
            keys |= _led(outcome, service)
        keys |= outcome.keys
        if steps[0].match.path.kind != "prefix":
            self._keep_path(outcome, keys)
        return Part(keys, [f"{outcome.rule.label}, line {outcome.rule.node.line}", *outcome.comments])

    def _asks(self, step: Step) -> Keys:
        """What a step asks for beside the path of its route; empty: nothing."""
        asks: Keys = {}
        if step.match.path.kind == "regex":
            asks["path"] = {"regex": whole(step.match.path.value)}
        if step.schemes != self._schemes:
            asks["scheme"] = min(step.schemes)
        return asks | step.match.condition

    def _keep_path(self, outcome: Outcome, keys: Keys) -> None:
        """A prefix is replaced where the match is of a prefix alone; so it is in the API."""
        for key in ("redirect", "rewrite"):
            if "replace_prefix" in keys.get(key, ()):
                keys[key] = {word: value for word, value in keys[key].items() if word != "replace_prefix"}
                what = "`replacePrefixMatch` is left out for matches that are of no prefix"
                self._draft.note(outcome.rule.route, outcome.rule.node, what)
                if not keys[key]:
                    del keys[key]


def _led(outcome: Outcome, service: ServiceDraft) -> Keys:
    """The version or split, and the mirrors."""
    if not outcome.shares:
        return {}
    weights: dict[str, int] = {}
    for share in outcome.shares:
        name = service.versions[share.backend]
        weights[name] = weights.get(name, 0) + share.weight
    keys: Keys = {"split": weights} if len(weights) > 1 else {"version": next(iter(weights))}
    if outcome.mirrors:
        keys["mirror"] = [
            {"version": service.versions[mirror.backend], "percent": mirror.percent, "methods": METHODS}
            for mirror in outcome.mirrors
        ]
    return keys


def _any(conditions: list[Keys]) -> Keys:
    """That one of these holds, said as shortly as a rule file can."""
    if len(conditions) == 1 or not conditions[0]:
        return conditions[0]
    if all(condition.keys() == {"method"} for condition in conditions):
        return {"method": [condition["method"] for condition in conditions]}
    for where in ("header", "query"):
        tests = [condition.get(where, {}) for condition in conditions if condition.keys() == {where}]
        names = {name: [test[name] for test in tests if test.keys() == {name}] for name in tests[0]} if tests else {}
        for name, values in names.items():
            if len(values) == len(conditions) and all(isinstance(value, str) for value in values):
                return {where: {name: values}}
    return {"any": conditions}


def _unused(title: str, names: set[str]) -> str:
    """A name that no rule of the route has yet."""
    name = (
        title if title not in names else next(filterfalse(names.__contains__, map(f"{title} ({{}})".format, count(2))))
    )
    names.add(name)
    return name


def _comments(scope: Scope) -> list[str]:
    labels = dict.fromkeys(step.outcome.rule.route.label for step in scope.steps)
    ends = (
        ["Here ends what its listener takes: routes of listeners for wider hosts are not asked."] if scope.ends else []
    )
    return [*labels, *ends]
