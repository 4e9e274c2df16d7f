from __future__ import annotations

import pytest

from proxy.rollout.reweigh import reweigh

SPLIT = ("routes", 0, "rules", 0, "split")
WEIGHTS = {"v1": 80.0, "v2": 20.0}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("routes: [{rules: [{split: {v1: 100, v2: 0}}]}]", "routes: [{rules: [{split: {v1: 80, v2: 20}}]}]"),
        ("routes:\n- rules:\n  - split:   # now\n      'v2':  0   # new\n      v1: 100 # old\n",
         "routes:\n- rules:\n  - split:   # now\n      'v2':  20   # new\n      v1: 80 # old\n"),
        ("# é\r\nroutes:\r\n  - rules:\r\n    - split: {v1: 99.5, v2: 0.5}\r\n",
         "# é\r\nroutes:\r\n  - rules:\r\n    - split: {v1: 80, v2: 20}\r\n"),
        ("a: 'ü\u2028x'\nroutes: [{rules: [{name: 'ä𝄞', split: {v1: 1, v2: 0}}]}]",
         "a: 'ü\u2028x'\nroutes: [{rules: [{name: 'ä𝄞', split: {v1: 80, v2: 20}}]}]"),
        ("s: &s {v1: 1, v2: 0}\nroutes: [{rules: [{split: *s}]}]",
         "s: &s {v1: 80, v2: 20}\nroutes: [{rules: [{split: *s}]}]"),  # who asked looks whether more has changed
        ('{"routes": [{"rules": [{"split": {"v1": 1, "v3": 7, "v2": 0}}]}]}',
         '{"routes": [{"rules": [{"split": {"v1": 80, "v3": 7, "v2": 20}}]}]}'),
    ],
)  # fmt: skip
def test_the_two_weights_change_and_nothing_else(before: str, after: str) -> None:
    """In every layout: blocks, flow, JSON, other line ends, letters of any width before them."""
    assert reweigh(before, SPLIT, WEIGHTS) == after


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("routes: []", "there is no split of weights there"),
        ("routes: [{rules: [{split: [1]}]}]", "there is no split of weights there"),
        ("routes: [{rules: [{split: {v1: 1}}]}]", "the split has no weight of version 'v2'"),
        ("routes: [{rules: [{split: {v1: 1, v2: !!int 0}}]}]", "does not stand in the split itself"),
        ("routes: [{rules: [{split: {v1: 1, v2: '0'}}]}]", "does not stand in the split itself"),
        ("routes: [", "not YAML"),
    ],
)
def test_what_does_not_stand_there_plainly_is_left_alone(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        reweigh(text, SPLIT, WEIGHTS)


@pytest.mark.parametrize(("weight", "text"), [(20.0, "20"), (2.5, "2.5"), (0.0, "0"), (0.1 + 0.2, "0.3")])
def test_weights_are_written_as_people_would(weight: float, text: str) -> None:
    assert reweigh("split: {v: 1}", ("split",), {"v": weight}) == f"split: {{v: {text}}}"
