from __future__ import annotations

import pytest

from proxy.rollout.ahead import obstacles
from tests.rollout.world import RULES, read

STICKY = RULES.replace("v2: 0}}", "v2: 0}, sticky: {by: {cookie: u}}}")


EMPTY = RULES.replace("v2: {endp", "v3: {endpoints: [http://c:1]}, v2: {endp").replace(
    "{v1: 100, v2: 0}", "{v1: 0, v2: 0, v3: 1}"
)
V1 = "expect: {version: v1}"


@pytest.mark.parametrize(
    ("rules", "test", "step", "why"),
    [
        (RULES, "request: {path: /}, expect: {rule: everyone}", None, ""),
        (RULES, f"request: {{path: /}}, {V1}", 0,
         "the rollout will wait here: at 5 % tests[0] would fail: the version is drawn at random by rule 'everyone'"),
        (STICKY, f"request: {{cookies: {{u: x}}}}, {V1}", 3, "at 100 % tests[0] would fail: expected version 'v1'"),
        (EMPTY, "request: {path: /}, expect: {rule: everyone}", 0, "there is nothing to divide between them"),
    ],
)  # fmt: skip
def test_what_a_test_of_the_file_will_not_have_is_known_before(
    rules: str, test: str, step: int | None, why: str
) -> None:
    """The first such step of a rollout, and which test it is; tests hold as the file is."""
    found = list(obstacles(read(f"{rules}tests: [{{{test}}}]\n".encode()), "rules.yaml"))
    if step is None:
        assert found == []
    else:
        ((path, text),) = found
        assert path == ("rollouts", "shop-v2", "steps", step) and why in text
