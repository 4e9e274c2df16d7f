"""proxy/commands/rollout.py: how a rollout is shown; what the commands do to a running proxy is in integration."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from proxy.cli import main
from proxy.commands import rollout
from proxy.commands.rollout import Screen, block, line

HOLDS = {
    "gate": "success_rate",
    "outcome": "holds",
    "text": "v2 succeeds in 100.00% of 1234 requests, at least 99% is asked",
}
UNJUDGED = {"gate": "latency_p95", "outcome": "none", "text": "not judged yet in this step"}


def status(**others: Any) -> dict[str, Any]:
    return {
        "rollout": "shop-v2", "to": "v2", "phase": "progressing", "settled": False, "reason": "", "obstacle": "",
        "step": 2, "steps": [{}] * 4, "live_weight": 20.0, "held_s": 12.3, "hold_s": 30.0, "gates": [HOLDS],
        "journal": [{"event": "step", "text": "2 of 4: v2 gets 20 %"}],
    } | others  # fmt: skip


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (status(), "shop-v2: progressing, step 2 of 4, v2 has 20 %, held for 12 of 30 s"),
        (status(gates=[HOLDS, UNJUDGED]), "v2 has 20 %, held for 12 of 30 s, latency_p95: not judged yet in this step"),
        (status(held_s=99.0), "v2 has 20 %, held for 30 s"),
        (status(held_s=99.0, gates=[UNJUDGED]), "held for 30 s, waits for latency_p95: not judged yet in this step"),
        (status(obstacle="cannot write r.yaml: it is read-only"), "shop-v2: blocked, step 2 of 4, v2 has 20 %, cannot"),
        (status(phase="waiting", reason="at 20 %, until somebody promotes it"), "waiting, step 2 of 4, v2 has 20 %"),
        (status(phase="rolled_back", reason="aborted by hand", live_weight=0.0),
         "shop-v2: rolled back, step 2 of 4, v2 has 0 %, aborted by hand"),
        (status(live_weight=None), "step 2 of 4, not in the rules, held"),
    ],
)  # fmt: skip
def test_one_line_says_where_it_is_and_why(given: dict[str, Any], text: str) -> None:
    assert text in line(given)


def test_a_bar_and_every_gate_in_the_width_there_is() -> None:
    """Texts wrap, the bar shrinks, down to none; no line is wider."""
    assert block(status(gates=[HOLDS, UNJUDGED]), 79) == [
        "shop-v2: progressing, step 2 of 4, held for 12 of 30 s",
        "[██████░░░░░░░░░░░░░░░░░░░░░░░░] v2 has 20 %",
        "  success_rate holds: v2 succeeds in 100.00% of 1234 requests, at least 99% is",
        "    asked",
        "  latency_p95: not judged yet in this step",
        "  step: 2 of 4: v2 gets 20 %",
    ]
    assert block(status(), 30, "#-")[2] == "[###-------------] v2 has 20 %"
    for width in range(12, 100):
        assert all(len(text) <= width for text in block(status(gates=[HOLDS, UNJUDGED]), width))


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_a_terminal_is_drawn_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many lines as were drawn before, of those it has room for."""
    out = Terminal()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "4")
    screen = Screen(1)
    screen.begin(status())
    screen.show(status(live_weight=0.0))
    first, second = out.getvalue().split("\x1b[3F")
    assert first.startswith("\x1b[Jshop-v2: ") and second.startswith("\x1b[Jshop-v2: ")
    assert first.count("\n") == second.count("\n") == 3


@pytest.mark.parametrize("terminal", [False, True])
def test_what_is_no_terminal_gets_plain_lines(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe, and a terminal that cannot move its cursor: where it is, what is new, and where it ended."""
    out = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setenv("TERM", "dumb")
    screen, done = Screen(1), {"event": "rolled_back", "text": "aborted by hand"}
    screen.begin(status())
    screen.show(status())
    screen.show(status(journal=[*status()["journal"], done]))
    screen.end(status(phase="rolled_back", live_weight=0.0, reason="aborted by hand"))
    assert out.getvalue().splitlines() == [
        "shop-v2: progressing, step 2 of 4, v2 has 20 %, held for 12 of 30 s",
        "shop-v2: rolled back: aborted by hand",
        "shop-v2: rolled back, step 2 of 4, v2 has 0 %, aborted by hand",
    ]


@pytest.fixture
def port() -> Iterator[Callable[..., str]]:
    """An admin port that gives these answers one after another; None: it hangs up."""
    servers: list[HTTPServer] = []

    def answering(*answers: dict[str, Any] | None) -> str:
        left = list(answers)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = left.pop(0) if len(left) > 1 else left[0]
                if answer is not None:
                    body = json.dumps(answer).encode()
                    self.send_response(404 if "error" in answer else 200)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield answering
    for server in servers:
        server.shutdown()
        server.server_close()


DONE = status(phase="promoted", settled=True, live_weight=100.0, reason="the gates held")
UNKNOWN = {"error": "unknown rollout 'shop-v2'; there are none"}


def test_a_proxy_that_is_started_again_is_watched_on(
    port: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says that nobody answers, and what comes after; exit code 0: promoted."""
    monkeypatch.setattr(rollout, "WATCH_S", 0.0)
    admin = port(status(), None, UNKNOWN, status(), DONE)
    assert main(["rollout", "status", "shop-v2", "--watch", "--admin", admin]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "shop-v2: promoted, step 2 of 4, v2 has 100 %, the gates held"
    assert len(err.splitlines()) == 1 and err.endswith("asking again for 30 s\n")


@pytest.mark.parametrize(("answer", "code"), [(None, 1), (UNKNOWN, 2)])
def test_a_proxy_that_stays_away_is_given_up(
    port: Callable[..., str], monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any] | None, code: int
) -> None:
    """After some time, with an exit code that is not that of a success."""
    monkeypatch.setattr(rollout, "WATCH_S", 0.0)
    monkeypatch.setattr(rollout, "GONE_S", 0.0)
    admin = port(status(), answer)
    assert main(["rollout", "status", "shop-v2", "--watch", "--admin", admin]) == code


def test_where_there_are_none_it_says_how_to_have_some(
    port: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Kubernetes manifests, served as they are, have none: nothing could be moved in them."""
    assert main(["rollout", "list", "--admin", port({"rollouts": []})]) == 0
    assert (
        "`rollouts` in a rule file names them (Kubernetes manifests: see `grayhound import`)" in capsys.readouterr().out
    )
