"""Which kinds of objects are imported, and the way from a text of manifests to a text of rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from proxy.data import dataclass
from proxy.errors import Fault, RuleError
from proxy.imports.draft import Draft, Urls
from proxy.imports.gateway_api.importer import draft_http_routes
from proxy.imports.ingress import draft_ingresses
from proxy.imports.manifests import Object, are_manifests, objects
from proxy.imports.write import written
from proxy.rules.read.nodes import TreeError, path_text

Importer = Callable[[list[Object], Draft], None]
"""Adds to a draft what all objects of its kind say, in file order."""

IMPORTERS: Final[dict[str, Importer]] = {
    "Ingress": draft_ingresses,
    "HTTPRoute": draft_http_routes,
}
"""By kind. A file may hold several; their routes stand in this order."""


@dataclass(frozen=True, slots=True)
class Imported:
    """The text of a rule file, and what of the manifests could not be kept."""

    text: str
    notes: tuple[Fault, ...]


def import_text(text: str, name: str, urls: Urls | None = None) -> Imported | None:
    """The rules that Kubernetes manifests stand for; None: the text is no manifests.

    name: of the text, in messages. Raises RuleError if it cannot be read, or if nothing in it is a route.
    """
    if not are_manifests(text):
        return None
    try:
        found = objects(text)
    except TreeError as error:
        raise RuleError([Fault(name, *fault[:2], path_text(fault[2]), fault[3]) for fault in error.faults]) from None
    draft = Draft(found, urls)
    for kind, importer in IMPORTERS.items():
        mine = [each for each in found if each.kind == kind]
        if mine:
            importer(mine, draft)
    notes = tuple(Fault(name, note.line, note.column, note.where, note.text) for note in draft.notes)
    if not draft.routes:
        wanted = f"nothing here gives a route: there is no {' or '.join(IMPORTERS)} that leads to a Service"
        raise RuleError([*notes, Fault(name, 1, 1, "", wanted)])
    return Imported(written(draft, name), notes)
