"""The command line: what each command prints, and its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxy import settings
from proxy.cli import COMMANDS, main

RULES = """\
services:
  shop:
    versions:
      v1: {endpoints: [http://127.0.0.1:1]}
      v2: {endpoints: [http://127.0.0.1:2]}
routes:
  - name: shop
    service: shop
    rules:
      - name: testers
        match: {any: [{header: {foo: bar}}, {cookie: {foo: bar}}]}
        version: v2
      - name: office
        match: {client_ip: 10.0.0.0/8, method: POST}
        version: v2
tests:
  - {request: {path: /}, expect: {version: v1}}
"""

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def rules(tmp_path: Path) -> str:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return str(path)


def run(*arguments: str) -> int:
    try:
        return main(arguments)
    except SystemExit as end:  # argparse ends the process itself
        assert isinstance(end.code, int)
        return end.code


def test_check_of_a_good_file(rules: str, capsys: Capture) -> None:
    """Exit code 0 and one line that says what was checked."""
    assert run("check", rules) == 0
    assert capsys.readouterr().out == f"{rules}: no faults (1 service, 1 route, 1 test passed, 0 warnings)\n"


def test_check_lists_every_fault_with_its_place(rules: str, capsys: Capture) -> None:
    """`file:line:col: path: text` for each, then the count; exit code 1."""
    Path(rules).write_text(RULES.replace("version: v2", "version: v3"))
    assert run("check", rules) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{rules}:12:18: routes[0].rules[0].version: ")
    assert lines[1].startswith(f"{rules}:15:18: routes[0].rules[1].version: ")
    assert lines[2:] == [f"{rules}: 2 faults"]


def test_check_runs_the_files_own_tests(rules: str, capsys: Capture) -> None:
    """A file that fails its own tests has a fault."""
    Path(rules).write_text(RULES.replace("expect: {version: v1}", "expect: {version: v2}"))
    assert run("check", rules) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{rules}:17:")
    assert "tests[0]" in lines[0]
    assert lines[-1] == f"{rules}: 1 fault"


def test_check_prints_warnings_and_passes(rules: str, capsys: Capture) -> None:
    """A warning is no fault."""
    Path(rules).write_text(
        RULES.partition("tests:")[0].replace("match: {any", "#")
    )  # testers takes it all: office none
    assert run("check", rules) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert all(line.endswith("(warning)") for line in lines[:-1])
    assert f"{len(lines) - 1} warning" in lines[-1]


@pytest.mark.parametrize("command", ["check", "explain", "serve"])
def test_a_missing_file_is_one_line(command: str, tmp_path: Path, capsys: Capture) -> None:
    """No traceback, exit code 1."""
    path = str(tmp_path / "none.yaml")
    assert run(command, path, *(["/"] if command == "explain" else [])) == 1
    assert capsys.readouterr().err == f"grayhound: cannot read {path}: No such file or directory\n"


@pytest.mark.parametrize(
    ("arguments", "version", "rule"),
    [
        (["http://shop/"], "v1", ""),
        (["/", "-H", "foo: bar"], "v2", "testers"),
        (["/", "--header", "FOO:bar"], "v2", "testers"),
        (["/", "--cookie", "foo=bar"], "v2", "testers"),
        (["/", "-b", "a=1; foo=bar"], "v2", "testers"),
        (["POST", "/", "--client-ip", "10.1.2.3"], "v2", "office"),
        (["-X", "POST", "/", "--client-ip", "10.1.2.3"], "v2", "office"),
        (["--request", "POST", "/", "--client-ip", "10.1.2.3"], "v2", "office"),
        (["GET", "/", "--client-ip", "10.1.2.3"], "v1", ""),
    ],
)
def test_explain_says_what_a_request_gets(
    rules: str, capsys: Capture, arguments: list[str], version: str, rule: str
) -> None:
    """curl's option names; --json is the trace for programs, without it a page of text."""
    assert run("explain", rules, *arguments, "--json") == 0
    trace = json.loads(capsys.readouterr().out)
    assert (trace["service"], trace["version"], trace["rule"]) == ("shop", version, rule)
    assert run("explain", rules, *arguments) == 0
    assert version in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["GET", "/", "more"],
        ["/", "-H", "no colon"],
        ["/", "--cookie", "no equals"],
        ["/", "--client-ip", "home"],
        ["GE T", "/"],
    ],
)
def test_explain_of_what_is_no_request_is_usage(rules: str, capsys: Capture, arguments: list[str]) -> None:
    """A request that nobody could send is a wrong call: exit code 2, one line."""
    assert run("explain", rules, *arguments) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert "explain: " in err.splitlines()[-1]


def test_diff_is_told_as_by_diff(rules: str, tmp_path: Path, capsys: Capture) -> None:
    """Exit code 0: no difference, 1: some, 2: trouble."""
    other = tmp_path / "other.yaml"
    other.write_text(RULES)
    assert run("diff", rules, str(other)) == 0
    assert capsys.readouterr().out == "no difference: every request goes where it went\n"
    other.write_text(RULES.replace("foo: bar", "foo: baz"))
    assert run("diff", rules, str(other)) == 1
    assert capsys.readouterr().out.splitlines()[0] == "route shop"
    other.write_text("routes: 1")
    assert run("diff", rules, str(other)) == 2
    assert run("diff", rules, str(tmp_path / "none.yaml")) == 2
    assert run("diff", rules) == 2


def test_diff_replays_a_log(rules: str, tmp_path: Path, capsys: Capture) -> None:
    """What would go elsewhere, with examples; what the log does not hold, and what cannot be known without it."""
    other, log = tmp_path / "other.yaml", tmp_path / "access.log"
    other.write_text(RULES.partition("tests:")[0].replace("    rules:", "    otherwise: v2\n    rules:"))
    taken = {"method": "GET", "host": "shop", "target": "/a", "client": "10.0.0.1", "route": "shop", "rule": ""}
    records = [json.dumps(taken), json.dumps(taken | {"rule": "testers"}), "GET /b", "curl /c -H 'foo: bar'", "{"]
    log.write_text("\n".join(records))
    assert run("diff", rules, str(other), "--requests", str(log)) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == [
        "4 requests replayed",
        "would go elsewhere: 2 (50 %)",
        "  2 (50 %)  shop v1 -> shop v2  (route 'shop', no rule)",
        "      GET shop/a",
        "      GET /b",
    ]
    assert "cannot be known: 1 (25 %)" in lines
    assert "  header foo, in 2 (50 %)" in lines and "  cookie foo, in 2 (50 %)" in lines
    assert "not read: 1 line" in lines and lines[-1].startswith("  line 5: ")
    log.write_text("GET /b")
    assert run("diff", rules, rules, "--requests", str(log)) == 0
    assert capsys.readouterr().out == "1 request replayed\nnone would go elsewhere\n"
    for nothing in (tmp_path / "none.log", tmp_path / "empty.log"):
        (tmp_path / "empty.log").touch()
        assert run("diff", rules, rules, "--requests", str(nothing)) == 2


def test_schema_is_json_schema(capsys: Capture) -> None:
    """What an editor can load."""
    assert run("schema") == 0
    schema = json.loads(capsys.readouterr().out)
    assert "json-schema.org" in schema["$schema"]
    assert {"services", "routes"} <= schema["properties"].keys()


@pytest.mark.parametrize("arguments", [[], ["unknown"], ["serve"], ["serve", "r", "--workers", "0"], ["check"]])
def test_wrong_calls_are_usage(arguments: list[str], capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2, and a hint on stderr."""
    monkeypatch.delenv("GRAYHOUND_RULES", raising=False)
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "grayhound" in captured.err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """--help of each command, with its options, for a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    assert run(name, "--help") == 0
    out = capsys.readouterr().out
    assert f"usage: grayhound {name}" in out
    assert max(map(len, out.splitlines())) <= 80


def test_serve_offers_every_setting(capsys: Capture) -> None:
    """The options of serve are those of the settings, with their environment variables."""
    run("serve", "--help")
    out = capsys.readouterr().out
    for name in settings.options():
        assert settings.variable(name) in out


def test_version(capsys: Capture) -> None:
    """The version, for bug reports."""
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("grayhound ")


INGRESS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  annotations: {nginx.ingress.kubernetes.io/limit-rps: "5"}
spec: {rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}
"""
NOT_KEPT = "5:56: Ingress default/web: limit-rps is not kept; whoever it kept out is let in"


@pytest.fixture
def manifests(tmp_path: Path) -> str:
    path = tmp_path / "ingress.yaml"
    path.write_text(INGRESS)
    return str(path)


def test_import_prints_rules_and_says_what_it_could_not_keep(manifests: str, tmp_path: Path, capsys: Capture) -> None:
    """Rules on stdout, which pass the check; the list on stderr; exit code 0."""
    assert run("import", manifests) == 0
    out, err = capsys.readouterr()
    assert err == f"{manifests}:{NOT_KEPT}\ngrayhound import: 1 thing could not be kept, or not as it was\n"
    (tmp_path / "rules.yaml").write_text(out)
    assert run("check", str(tmp_path / "rules.yaml")) == 0


def test_import_reads_standard_input(manifests: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    with open(manifests) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert run("import", "-", "--service", "web=http://127.0.0.1:8081") == 0
    out, err = capsys.readouterr()
    assert "http://127.0.0.1:8081" in out and err.startswith("standard input:5:56: ")


@pytest.mark.parametrize("service", ["web", "web=", "=http://a", "web=http://127.0.0.1/x"])
def test_import_with_a_service_that_is_none(service: str, manifests: str, capsys: Capture) -> None:
    """A usage error, one line."""
    assert run("import", manifests, "--service", service) == 2
    assert capsys.readouterr().err.startswith("grayhound import: ")


def test_import_of_what_is_no_manifest(rules: str, capsys: Capture) -> None:
    assert run("import", rules) == 1
    assert "holds no Kubernetes objects" in capsys.readouterr().err


def test_other_commands_take_manifests_too(manifests: str, capsys: Capture) -> None:
    """As if they were the rules they stand for; faults and warnings say their lines."""
    assert run("check", manifests) == 0
    out = capsys.readouterr().out
    assert f"{manifests}:{NOT_KEPT} (warning)\n" in out
    assert out.endswith("no faults (1 service, 1 route, 0 tests passed, 1 warning)\n")
    assert run("explain", manifests, "http://www.example.com/") == 0
    assert "service web, version web" in capsys.readouterr().out
