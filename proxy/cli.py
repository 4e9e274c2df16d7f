"""The commands of `grayhound`. Each imports what it needs when it runs, so that `serve` starts at once."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final

import proxy
from proxy import settings
from proxy.commands.base import (
    EXIT_FAILED,
    EXIT_USAGE,
    Command,
    UsageError,
    command_in,
    content_of,
    counted,
    pair,
)
from proxy.errors import RuleError, StartError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code: 0 ended as told, 1 could not, 2 usage."""
    words = sys.argv[1:] if argv is None else argv
    parser = _parser(words)
    given = parser.parse_args(words)
    if given.command is None:
        parser.print_help(sys.stderr)
        return EXIT_USAGE
    try:
        return COMMANDS[given.command].run(given)
    except UsageError as error:
        print(f"grayhound {given.command}: {error}", file=sys.stderr)
        return EXIT_USAGE
    except StartError as error:
        print(f"grayhound: {error}", file=sys.stderr)
    except RuleError as error:
        print(error, file=sys.stderr)
        print(f"grayhound: {counted(len(error.faults), 'fault')} in the rule file", file=sys.stderr)
    except BrokenPipeError:  # as in `grayhound check rules.yaml | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the flush at exit would fail as well
    except KeyboardInterrupt:
        return 0
    return EXIT_FAILED


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Of these words. A command that is not among them has no arguments, and stands aside if they begin with another:
    `serve` would wait for theirs."""
    about = "A reverse proxy for gray releases, blue/green and A/B tests."
    parser = argparse.ArgumentParser(prog="grayhound", description=about)
    parser.add_argument("--version", action="version", version=f"grayhound {proxy.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    alone = words and words[0] in COMMANDS
    for name, command in COMMANDS.items():
        if alone and words[0] != name:
            continue
        added = commands.add_parser(name, help=command.help, description=command.help)
        if name in words:
            command.add_arguments(added)
    return parser


def _rules_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rules", metavar="RULES", help="the rule file")


# --- serve ---------------------------------------------------------------------------------------------------------


def _serve_arguments(parser: argparse.ArgumentParser) -> None:
    """One argument per field of Settings; values stay text here and are read in one place, with the environment."""
    for name, option in settings.options().items():
        text = f"{option.help} [{settings.variable(name)}]".replace("%", "%%")
        if name == "rules":
            parser.add_argument(name, metavar=option.metavar, nargs="?", help=text)
        else:
            action = "append" if option.many else "store"
            parser.add_argument(f"--{name}", metavar=option.metavar, action=action, help=text)


def _serve(given: argparse.Namespace) -> int:
    from proxy.run.cores import cores_available
    from proxy.run.serve import serve

    values = {name: getattr(given, name.replace("-", "_")) for name in settings.options()}
    texts = {
        name: ",".join(value) if isinstance(value, list) else value
        for name, value in values.items()
        if value is not None
    }
    try:
        chosen = settings.read_settings(texts, os.environ, cores_available())
    except ValueError as error:
        raise UsageError(str(error)) from None
    return serve(chosen)


# --- demo ----------------------------------------------------------------------------------------------------------


def _demo(_: argparse.Namespace) -> int:
    from proxy.demo import run

    return run()


# --- check ---------------------------------------------------------------------------------------------------------


def _check(given: argparse.Namespace) -> int:
    from proxy.run.load import ahead, load

    content = content_of(given.rules)
    try:
        loaded = load(content)
    except RuleError as error:
        print(error)
        print(f"{given.rules}: {counted(len(error.faults), 'fault')}")
        return EXIT_FAILED
    rules = loaded.rule_file
    warnings = [*loaded.warnings, *ahead(rules, content)]
    for warning in warnings:
        print(f"{warning} (warning)")
    parts = [
        counted(len(rules.services), "service"),
        counted(len(rules.routes), "route"),
        f"{counted(len(rules.tests), 'test')} passed",
        counted(len(warnings), "warning"),
    ]
    print(f"{given.rules}: no faults ({', '.join(parts)})")
    return 0


# --- explain -------------------------------------------------------------------------------------------------------


def _explain_arguments(parser: argparse.ArgumentParser) -> None:
    _rules_argument(parser)
    parser.usage = (  # argparse would say `[METHOD] URL [[METHOD] URL ...]`
        "%(prog)s RULES [METHOD] URL [-H 'NAME: VALUE'] [-b NAME=VALUE]\n"
        "                         [--client-ip IP] [--cookie-key-file FILE] [--json]"
    )
    parser.add_argument("request", metavar="[METHOD] URL", nargs="+", help="like https://shop.example.com/cart")
    parser.add_argument("-X", "--request", metavar="METHOD", dest="method", help="the method (default GET)")
    parser.add_argument("-H", "--header", metavar="'NAME: VALUE'", action="append", default=[], help="repeatable")
    parser.add_argument("-b", "--cookie", metavar="NAME=VALUE", action="append", default=[], help="repeatable")
    parser.add_argument("--client-ip", metavar="IP", default="127.0.0.1", help="the client's address")
    parser.add_argument("--cookie-key-file", metavar="FILE", help="as for serve: without it no pin signed by it holds")
    parser.add_argument("--json", action="store_true", help="for programs")


def _explain(given: argparse.Namespace) -> int:
    import json
    import time

    from proxy.admin.asked import asked
    from proxy.rules.analysis.explain import explain
    from proxy.rules.analysis.report import render_text, to_json
    from proxy.run.load import load

    try:
        *method, url = given.request
        if len(method) > 1:
            raise ValueError("one METHOD and one URL, or the URL alone")
        headers = [pair(text, ":", "-H") for text in given.header]
        cookies = [pair(part, "=", "--cookie") for text in given.cookie for part in text.split(";") if part.strip()]
        head = asked(url, method[0] if method else given.method or "GET", headers, cookies, given.client_ip)
    except ValueError as error:
        raise UsageError(str(error)) from None
    trace = explain(load(content_of(given.rules), given.cookie_key_file).rule_file, head, time.time)
    print(json.dumps(to_json(trace), indent=2, ensure_ascii=False) if given.json else render_text(trace).rstrip("\n"))
    return 0


# --- schema --------------------------------------------------------------------------------------------------------


def _schema(_: argparse.Namespace) -> int:
    import json

    from proxy.rules.read.schema import json_schema

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return 0


def _no_arguments(_: argparse.ArgumentParser) -> None:
    """A command that takes none."""


COMMANDS: Final = {
    "serve": Command("Run the proxy.", _serve_arguments, _serve),
    "demo": Command("See it work: two sample services and the proxy before them.", _no_arguments, _demo),
    "check": Command("Print every fault and warning of a rule file, and run its tests.", _rules_argument, _check),
    "explain": Command("Say which version a request would get, and why.", _explain_arguments, _explain),
    "import": command_in("manifests", "Print the rule file that Kubernetes manifests stand for."),
    "diff": command_in("diff", "Say which requests another rule file would send elsewhere."),
    "drain": command_in("drain", "Wait until a version may be switched off."),
    "rollout": command_in("rollout", "Tell how rollouts are doing, and steer them."),
    "schema": Command("Print the JSON Schema of the rule file, for editors.", _no_arguments, _schema),
}
