"""Regexes in linear time, and which of them need no regex at all.

The only file of the data plane that knows RE2. A search is over bytes as UTF-8, anywhere in the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import product
from typing import Any, Final

import re2

from proxy.rules.model import TextKind

SET_PROGRAM_MAX: Final = 10_000
"""Instructions of a program up to which a re2.Set is used. A Set has no slow but sure way out when its automaton
outgrows its memory (8 MiB, of which a state of such a program takes at most some 50 KiB); a single regex has."""
EXPANDED_MAX: Final = 1000
"""Texts that one regex is written out as; `(a|b)(c|d)` grows by multiplication."""

# A character that stands for itself, or one that a backslash makes so (RE2: any ASCII one but letters, digits, `_`).
_LITERAL = r"(?:[^\\^$.|?*+()\[\]{}]|\\[!-/:-@\[-^`{-~])"
_BRANCH = re.compile(
    rf"(?P<start>\^|\\A|\.\*)?(?P<left>{_LITERAL}*)(?:\((?:\?:)?(?P<group>{_LITERAL}*(?:\|{_LITERAL}*)*)\))?"
    rf"(?P<right>{_LITERAL}*)(?P<end>\$|\\z|\.\*)?(?=\||\Z)",
    re.DOTALL,
)
_KINDS: Final[dict[tuple[bool, bool], TextKind]] = {
    (True, True): "in",
    (True, False): "prefix",
    (False, True): "suffix",
    (False, False): "contains",
}


def plain(pattern: str) -> dict[TextKind, tuple[str, ...]] | None:
    r"""The texts that say the same as a regex, by kind; one of them must hold. None: it takes a regex.

    `^(a|b)$` is equal to a or b, `^bar` begins with bar, `^a$|b` is equal to a or contains b.
    Without flags `^` and `$` are the ends of the text in RE2, also beside a newline.
    """
    texts: dict[TextKind, list[str]] = {}
    at = 0
    while True:
        branch = _BRANCH.match(pattern, at)
        if branch is None:
            return None
        kind = _KINDS[_anchored(branch["start"]), _anchored(branch["end"])]
        middles = [""] if branch["group"] is None else re.findall(rf"(?:^|\|)({_LITERAL}*)", branch["group"])
        for parts in product([branch["left"]], middles, [branch["right"]]):
            texts.setdefault(kind, []).append(re.sub(r"\\(.)", r"\1", "".join(parts), flags=re.DOTALL))
        if sum(map(len, texts.values())) > EXPANDED_MAX:
            return None
        at = branch.end() + 1
        if at > len(pattern):
            return {kind: tuple(dict.fromkeys(values)) for kind, values in texts.items()}


def _anchored(anchor: str | None) -> bool:
    return anchor is not None and anchor != ".*"


@lru_cache(maxsize=4096)
def searcher(pattern: str, ignore_case: bool = False) -> Callable[[bytes], Any]:
    """Whether (as any true or false value) a regex is found anywhere in a value; one object per distinct regex.

    Raises ValueError if RE2 does not take the pattern.
    """
    options = re2.Options()
    options.case_sensitive = not ignore_case
    options.never_capture = True
    options.log_errors = False
    try:
        single = re2.compile(pattern.encode(), options)
        if single.programsize > SET_PROGRAM_MAX:
            return single.search  # type: ignore[no-any-return]
        # PERF: a Set of one gives no match object: 0.5 of the time of a search.
        group = re2.Set.SearchSet(options)
        group.Add(pattern.encode())
        group.Compile()
    except re2.error as error:
        reason = error.args[0]  # bytes, as RE2 says it
        raise ValueError(f"not a regex of RE2: {reason.decode() if isinstance(reason, bytes) else reason}") from None
    return group.Match  # type: ignore[no-any-return]
