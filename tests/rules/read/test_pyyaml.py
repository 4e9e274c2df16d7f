"""PyYAML, whose regexes are compiled when they are used."""

from __future__ import annotations

import datetime
import re

import pytest

from proxy.rules.read.pyyaml import yaml


def test_regexes_are_compiled_as_before() -> None:
    """Nobody else gets one of ours."""
    assert isinstance(re.compile("a"), re.Pattern)


@pytest.mark.parametrize("loader", [yaml.SafeLoader, yaml.CSafeLoader])
def test_all_of_the_library_works(loader: type) -> None:
    """The parser in Python, and what scalars mean, go by regexes that it made while it was imported."""
    text = "{when: 2001-12-14, float: 1.5e+3, int: 0x1F, yes: on, text: '\u00e9'}"
    assert yaml.load(text, loader) == {
        "when": datetime.date(2001, 12, 14), "float": 1500.0, "int": 31, True: True, "text": "\u00e9",
    }  # fmt: skip
    with pytest.raises(yaml.YAMLError):
        yaml.load("\x07", loader)
