"""Rollouts by way of the admin port: what each is about to do and has done, and what a person may tell it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from proxy.admin.view import View
from proxy.rollout.plan import VERBS, Verb
from proxy.rules.read.shapes import known

NAME_CHARACTERS_MAX: Final = 100
"""Of whoever asks; it is kept with each event."""


def rollouts(view: View) -> dict[str, Any]:
    """All of them, in file order, without what has happened."""
    if view.rollouts is None:
        return {"rollouts": []}
    found = [view.rollouts.status(name) for name in view.rollouts.names()]
    return {"rollouts": [{key: value for key, value in one.items() if key != "journal"} for one in found]}


def rollout(view: View, request: web.Request) -> dict[str, Any]:
    """One of them. Raises web.HTTPNotFound with the names there are."""
    if view.rollouts is None:
        raise web.HTTPNotFound(text="there are no rollouts")
    try:
        return view.rollouts.status(request.match_info["rollout"])
    except LookupError as error:
        raise web.HTTPNotFound(text=error.args[0]) from None


def act(view: View, request: web.Request) -> dict[str, Any]:
    """Do what is asked and tell how it stands then. Raises web.HTTPConflict where the phase does not allow it."""
    name, word = request.match_info["rollout"], request.match_info["verb"]
    rollout(view, request)
    assert view.rollouts is not None
    if word not in VERBS:
        raise web.HTTPNotFound(text=f"unknown act '{word}'{known(word, VERBS, 'there are')}")
    try:
        full, weight = _asked(word, request.query)
    except ValueError as error:
        raise web.HTTPBadRequest(text=str(error)) from None
    try:
        view.rollouts.act(name, word, _who(request), full, weight)
    except ValueError as error:
        raise web.HTTPConflict(text=str(error)) from None
    return view.rollouts.status(name)


def _who(request: web.Request) -> str:
    """Where the request came from, and the name it gives itself (From, RFC 9110 section 10.1.2), unproved."""
    name = "".join(character for character in request.headers.get("From", "") if character.isprintable())
    return f"by {name[:NAME_CHARACTERS_MAX]} from {request.remote}" if name else f"by {request.remote}"


def _asked(verb: Verb, query: Mapping[str, str]) -> tuple[bool, float]:
    takes = {"promote": "full", "set-weight": "weight"}.get(verb, "")
    if unknown := set(query) - {takes}:
        raise ValueError(f"{verb} has no parameter '{min(unknown)}'" + (f"; it takes {takes}" if takes else ""))
    if query.get("full", "true") != "true":
        raise ValueError("full is true, or left out")
    if verb != "set-weight":
        return "full" in query, 0.0
    try:
        weight = float(query["weight"])
    except (KeyError, ValueError):
        weight = -1.0
    if not 0 <= weight <= 100:
        raise ValueError("set-weight needs a weight in percent, from 0 to 100, like ?weight=20")
    return False, weight
