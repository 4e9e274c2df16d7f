"""`grayhound import`: prints the rule file that Kubernetes manifests stand for, and says what could not be kept."""

from __future__ import annotations

import argparse
import sys

from proxy.commands.base import UsageError, content_of, counted, pair
from proxy.errors import StartError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifests", metavar="FILE", help="Kubernetes manifests, YAML or JSON; - is standard input")
    where = "where a Service is, if not at its name in the cluster; NAME may be NAMESPACE/NAME, and end in :PORT"
    parser.add_argument("--service", metavar="NAME=URL", action="append", default=[], help=f"{where}; repeatable")


def run(given: argparse.Namespace) -> int:
    """The rules on standard output, what could not be kept on standard error: it is no failure."""
    from proxy.imports.registry import import_text
    from proxy.rules.read.units import endpoint_url
    from proxy.sources.base import Content

    try:
        pairs = [pair(text, "=", "--service") for text in given.service]
        urls = {name: endpoint_url(url) for name, url in pairs}
    except ValueError as error:
        raise UsageError(str(error)) from None
    stdin = given.manifests == "-"
    content = Content("standard input", sys.stdin.buffer.read()) if stdin else content_of(given.manifests)
    imported = import_text(content.text(), content.name, urls)
    if imported is None:
        raise StartError(f"{content.name} holds no Kubernetes objects, like Ingress")
    print(imported.text, end="")
    for note in imported.notes:
        print(note, file=sys.stderr)
    if imported.notes:
        said = f"{counted(len(imported.notes), 'thing')} could not be kept, or not as it was"
        print(f"grayhound import: {said}", file=sys.stderr)
    return 0
