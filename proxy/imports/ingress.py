"""Ingress objects -> routes: a host and path is a route, the Services that stand there are versions of one service."""

from __future__ import annotations

from typing import Any, Final

from proxy.imports import nginx_paths
from proxy.imports.ack import Release, note_idle
from proxy.imports.canary import canary_rules, note_disabled
from proxy.imports.draft import Draft, Part, ServiceDraft
from proxy.imports.locations import Location, Named, annotation, locations
from proxy.imports.manifests import Object, text_at
from proxy.imports.nginx import Settings, settings
from proxy.imports.nginx_paths import Place

TIMEOUTS: Final = {"connect": "5s", "response": "60s"}
"""The defaults of nginx's controllers, which give services more time than those of a rule file."""

Hosts = dict[str, list[str]]
"""Other names of a host, by the host."""


def draft_ingresses(ingresses: list[Object], draft: Draft) -> None:
    """Add a route for each host and path of these Ingress objects."""
    found = locations(ingresses, draft)
    said = {ingress.label: settings(ingress, draft) for ingress in ingresses}
    groups: dict[str, list[Location]] = {ingress.label: [] for ingress in ingresses}
    for location in found:
        if len(location.backends) > 1:
            groups[location.ingress.label].append(location)
    for ingress in ingresses:
        note_idle(ingress, groups[ingress.label], draft)
        note_disabled(ingress, draft)
    _note_classes(ingresses, draft)
    _note_wildcards(found, draft)
    hosts = _aliases(found, said)
    for location in _with_roots(found, said):
        _draft_app_root(location, said[location.ingress.label], hosts, draft)
    for place in nginx_paths.places(found, draft):
        _draft_route(place, said[place.location.ingress.label], hosts, draft)
    _draft_www(found, said, hosts, draft)


def _note_classes(ingresses: list[Object], draft: Draft) -> None:
    """A cluster may have several controllers, each with Ingress objects of its own."""
    classes: dict[str, Object] = {}
    for ingress in ingresses:
        old = ingress.annotations().get("kubernetes.io/ingress.class")
        name = text_at(ingress.body, "spec", "ingressClassName") or (old.text if old is not None else "")
        if name:
            classes.setdefault(name, ingress)
    for name, ingress in classes.items() if len(classes) > 1 else ():
        text = f"of class '{name}', others are not: all are taken, whoever they were meant for"
        draft.note(ingress, ingress.body, text)


def _note_wildcards(found: list[Location], draft: Draft) -> None:
    for location in {location.scope.host: location for location in reversed(found)}.values():
        if location.scope.host.startswith("*."):
            text = f"{location.scope.host} stands for one or more labels here, in an Ingress for one"
            draft.note(location.ingress, location.backends[0].node, text)


def _draft_route(place: Place, said: Settings, hosts: Hosts, draft: Draft) -> None:
    location = place.location
    comments = [location.label]
    if kept := [*said.kept, *([f"rewrite-target: {place.target}"] if place.target else [])]:
        comments.append("; ".join(kept))
    release = Release(location, draft) if len(location.backends) > 1 else None
    stable = release.old if release is not None else location.backends[0]
    service = draft.service(stable.backend, _service_comment(location), _own(said))
    _add_versions(service, [stable, *location.backends, *location.canaries], said, draft)
    service.part.keys.setdefault("timeouts", dict(TIMEOUTS))
    rules = [*said.first]
    if release is not None:
        rules += release.rules(service)
        service.part.keys["fallback"] = "any"
        comments.append(
            "A Service without endpoints is stood in for by another one of the path, as ACK did: fallback any."
        )
    elif location.canaries:
        rules += canary_rules(location, service, _sticky(location, said, service), draft)
    route = {"rewrite": place.rewrite} if place.rewrite else {}
    keys = _scope(draft.title(_title(location)), location.scope.host, hosts) | {"path": place.path}
    keys |= {"service": service.name} | _merged(said.route, route)
    if rules:
        keys["rules"] = _uniquely_named(rules)
    draft.routes.append(Part(keys, comments))


def _add_versions(service: ServiceDraft, named: list[Named], said: Settings, draft: Draft) -> None:
    for each in named:
        draft.version(service, each.backend, each.ingress, each.node)
        if each.backend.scheme == "https":  # nginx believes any certificate unless it is told otherwise
            service.part.keys["tls"] = {"verify": False} | said.service.get("tls", {})


def _service_comment(location: Location) -> str:
    names = ", ".join(dict.fromkeys(named.backend.label for named in (*location.backends, *location.canaries)))
    return f"Services of the cluster: {names}"


def _own(said: Settings) -> str:
    """A service with settings of its own is not shared with routes that have none."""
    tls = said.service.get("tls", {})
    return "-verified" if tls.get("verify") else ""


def _sticky(location: Location, said: Settings, service: ServiceDraft) -> dict[str, Any] | None:
    """Whether the affinity of the main Ingress reaches over its canaries. Its paths share one cookie, so also pins."""
    behavior = annotation(location.canaries[0].ingress, "affinity-canary-behavior")
    legacy = behavior is not None and behavior.text.strip() == "legacy"
    return None if legacy or said.sticky is None else said.sticky | {"salt": service.name}


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Both; maps that stand in both are joined."""
    return one | {key: one.get(key, {}) | value for key, value in other.items()}


def _title(location: Location) -> str:
    return f"{location.ingress.name} {location.scope.host or '*'}{location.scope.path}"


def _scope(name: str, host: str, hosts: Hosts) -> dict[str, Any]:
    return {"name": name} | ({"hosts": [host, *hosts.get(host, ())]} if host else {})


def _uniquely_named(rules: list[Part]) -> list[Part]:
    seen: dict[str, int] = {}
    for rule in rules:
        name = rule.keys["name"] = rule.keys["name"][:120]
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            rule.keys["name"] = f"{name} {seen[name]}"
    return rules


# --- Hosts -----------------------------------------------------------------------------------------------------------


def _aliases(found: list[Location], said: dict[str, Settings]) -> Hosts:
    """`server-alias`: as nginx, names that are hosts of their own stay so."""
    own = {location.scope.host for location in found}
    hosts: Hosts = {}
    for location in found:
        names = hosts.setdefault(location.scope.host, [])
        names += [alias for alias in said[location.ingress.label].aliases if alias not in own and alias not in names]
    return hosts


def _with_roots(found: list[Location], said: dict[str, Settings]) -> list[Location]:
    """One location of each host whose `/` is redirected to `app-root`."""
    rooted = [location for location in found if said[location.ingress.label].app_root]
    return list({location.scope.host: location for location in reversed(rooted)}.values())[::-1]


def _draft_app_root(location: Location, said: Settings, hosts: Hosts, draft: Draft) -> None:
    keys = _scope(draft.title(f"{location.ingress.name} app-root"), location.scope.host, hosts)
    keys |= {"path": {"exact": "/"}, "redirect": {"path": said.app_root, "status": 302}}
    draft.routes.append(Part(keys, [f"{location.ingress.label}: app-root"]))


def _draft_www(found: list[Location], said: dict[str, Settings], hosts: Hosts, draft: Draft) -> None:
    """`from-to-www-redirect`: the name with www. to the one without it, or the other way round."""
    own = {location.scope.host for location in found}
    for location in {location.scope.host: location for location in found}.values():
        host = location.scope.host
        other = host.removeprefix("www.") if host.startswith("www.") else f"www.{host}"
        if said[location.ingress.label].www and host and host[0] != "*" and other not in own:
            keys = _scope(draft.title(f"{location.ingress.name} {other}"), other, {})
            keys |= {"redirect": {"host": host, "status": 308}}
            draft.routes.append(Part(keys, [f"{location.ingress.label}: from-to-www-redirect"]))
