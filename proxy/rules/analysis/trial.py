"""Runs a rule file's own tests: each request is written out, read as the data plane reads it, and matched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from proxy.errors import BadRequest, Fault
from proxy.http.message import RequestHead
from proxy.rules.actions import Redirect
from proxy.rules.decision import Decision
from proxy.rules.expect import Trial, TrialRequest
from proxy.rules.model import RuleFile
from proxy.rules.table import RouteTable

ReadHead = Callable[[bytes, frozenset[bytes]], RequestHead]
"""The reader of the data plane: the bytes of a head, and the names of the fields to keep."""

_PRINTABLE: Final = "".join(map(chr, range(0x21, 0x7F)))
_ASPECTS: Final = ("redirect", "status", "route", "service", "rule", "version", "reason")
"""What is compared, in the order in which the rules decide it: only the first difference is told."""


def run_trials(rule_file: RuleFile, table: RouteTable, read_head: ReadHead, file: str) -> list[Fault]:
    """A fault for each of the file's tests that does not hold; `table` is `rule_file` compiled."""
    faults = []
    for trial in rule_file.tests:
        wrong = _run(trial, table, read_head)
        if wrong:
            faults.append(Fault(file, trial.line, trial.column, trial.path, wrong))
    return faults


def head_bytes(request: TrialRequest) -> bytes:
    """The request as it comes over the wire; characters beyond ASCII in its path are escaped, as browsers do."""
    lines = [f"{request.method} {quote(request.path, safe=_PRINTABLE)} HTTP/1.1", f"Host: {request.host}"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    if request.cookies:
        lines.append("Cookie: " + "; ".join(f"{name}={value}" for name, value in request.cookies))
    return "\r\n".join([*lines, "", ""]).encode()


def _run(trial: Trial, table: RouteTable, read_head: ReadHead) -> str:
    """What is wrong; empty if the test holds."""
    try:
        head = read_head(head_bytes(trial.request), table.needs)
    except BadRequest as error:
        return f"the request is refused before any rule: {error.text}"
    head.client, head.scheme = trial.request.client_ip, trial.request.scheme.encode()
    decision = table.match(head)
    if trial.expect.version and decision is not None and _drawn(decision, table, head):
        return (
            f"the version is drawn at random by rule '{decision.rule}' of route '{decision.route}': "
            "expect a `rule` or `reason`, or send what the rule is sticky by"
        )
    for aspect in _ASPECTS:
        expected = getattr(trial.expect, aspect)
        if expected is None:
            continue
        found = _redirect(decision, table, head) if aspect == "redirect" else _found(decision, aspect)
        if expected != found:
            return f"expected {aspect} {_quoted(expected)}, found {_quoted(found)}: {_told(decision)}"
    return ""


def _found(decision: Decision | None, aspect: str) -> str | int:
    if decision is None:
        return 404 if aspect == "status" else ""
    found: str | int = getattr(decision, aspect)
    return found


def _redirect(decision: Decision | None, table: RouteTable, head: RequestHead) -> str:
    """The URL that the client is sent to, if it is."""
    return table.explain(head).redirect if decision is not None and isinstance(decision.action, Redirect) else ""


def _drawn(decision: Decision, table: RouteTable, head: RequestHead) -> bool:
    """Whether another request like this one may go to another version."""
    return (decision.reason == "weight" or bool(decision.set_cookie)) and not table.explain(head).version


def _quoted(value: str | int) -> str:
    if not value:
        return "none"
    return f"'{value}'" if isinstance(value, str) else str(value)


def _told(decision: Decision | None) -> str:
    if decision is None:
        return "no route takes the request"
    rule = f"rule '{decision.rule}'" if decision.rule else "no rule"
    end = f"answers {decision.status}" if decision.status else f"leads to version '{decision.version}'"
    return f"route '{decision.route}' and {rule} take it, and that {end} ({decision.reason})"
