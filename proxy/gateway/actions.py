"""What the rules ask for besides a version, made ready for each decision: answers, and edits of heads."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from proxy.errors import ProxyError
from proxy.gateway.refusals import NO_ROUTE, Answer
from proxy.http.edits import FieldEdits, RequestEdits, lines_of
from proxy.http.message import RequestHead
from proxy.rules.actions import HeaderChanges, Redirect, Respond
from proxy.rules.changes import added_up, location, new_target, own_target
from proxy.rules.decision import Decision
from proxy.rules.model import Route, Rule, Version

REMEMBERED_MAX: Final = 1024
"""Changes that are remembered while rules are compiled: each decision of a route has the same ones, mostly."""

MakeAnswer = Callable[[RequestHead], ProxyError]


def no_route(_: RequestHead) -> ProxyError:
    """What a request gets that no route takes."""
    return NO_ROUTE


def answer_of(decision: Decision, route: Route) -> MakeAnswer:
    """What the proxy itself answers by this decision, which leads to no version."""
    action = decision.action
    if isinstance(action, Redirect):
        where, status = location(action, route.path), action.status
        return lambda head: Answer(status, b"Location: %b\r\n" % where(head), b"")
    if isinstance(action, Respond):
        answer: ProxyError = _responded(action)
    else:
        answer = ProxyError("proxy", "rule", decision.status, "this route answers so by its rules")
    return lambda head: answer


def _responded(respond: Respond) -> Answer:
    named = any(name.lower() == "content-type" for name, _ in respond.headers)
    plain = (("Content-Type", "text/plain; charset=utf-8"),) if respond.body and not named else ()
    return Answer(respond.status, lines_of((*plain, *respond.headers)), respond.body.encode())


def request_edits(route: Route, rule: Rule | None, version: Version) -> tuple[RequestEdits | None, bytes]:
    """What is changed of the heads of requests of this rule to this version, None if nothing; the lines to append.

    The lines stand apart, as a client could have those in the head taken off again by naming them in Connection.
    """
    cut, lines = _added_up(route.request_headers, rule.request_headers if rule else None, version.request_headers)
    rewrite = (rule and rule.rewrite) or route.rewrite
    fields = FieldEdits(cut, alike=True)
    if rewrite is None:
        return (RequestEdits(fields) if cut else None), lines
    target = own_target if rewrite.path is None else _new_target(rewrite.path, route.path)
    return RequestEdits(fields, target, rewrite.host.encode()), lines


def response_edits(route: Route, rule: Rule | None, version: Version | None) -> FieldEdits | None:
    """What is changed of the heads of answers, None if nothing. version: None if the answer is the proxy's own."""
    cut, lines = _added_up(*(part.response_headers for part in (route, rule, version) if part is not None))
    return FieldEdits(cut, lines) if cut or lines else None


@lru_cache(maxsize=REMEMBERED_MAX)
def _added_up(*changes: HeaderChanges | None) -> tuple[frozenset[str], bytes]:
    cut, lines = added_up(changes)
    return cut, lines_of(lines)


_new_target = lru_cache(maxsize=REMEMBERED_MAX)(new_target)
