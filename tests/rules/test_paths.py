"""proxy.rules.paths."""

from __future__ import annotations

import pytest

from proxy.rules.model import PathMatch
from proxy.rules.paths import path_test, prefixes, spellings


@pytest.mark.parametrize(
    ("kind", "value", "fits", "fits_not"),
    [
        ("exact", "/x", [b"/x"], [b"/x/", b"/X", b"/x/y", b"/"]),
        ("prefix", "/v2", [b"/v2", b"/v2/", b"/v2/x", b"/v2//x"], [b"/v2x", b"/v", b"/", b"/x/v2", b"*", b"/v2%2Fx"]),
        ("prefix", "/v2/", [b"/v2", b"/v2/", b"/v2/x"], [b"/v2x", b"/"]),
        ("prefix", "/", [b"/", b"/x", b"*", b"//"], []),
        ("regex", r"^/x/\d+$", [b"/x/1"], [b"/x/", b"/x/1a"]),
        ("regex", "cart", [b"/my/cart/1"], [b"/Cart"]),
        ("exact", "/%7euser/%c3%a9", [b"/~user/%C3%A9"], [b"/%7euser/%c3%a9"]),
        ("exact", "/café", [b"/caf%C3%A9", "/café".encode()], [b"/caf"]),
        ("prefix", "/a b", [b"/a%20b/c"], [b"/a b/c"]),
    ],
)
def test_which_paths_fit(kind: str, value: str, fits: list[bytes], fits_not: list[bytes]) -> None:
    """Prefixes go by element; an encoded slash is no slash; the file may spell a path as people or as browsers do."""
    test = path_test(PathMatch(kind, value))  # type: ignore[arg-type]
    assert [path for path in fits if not test(path)] == []
    assert [path for path in fits_not if test(path)] == []


def test_forms_of_a_path() -> None:
    """As RequestHead.path writes them; a prefix has no slash at its end."""
    assert spellings("/A%2fb%41") == (b"/A%2FbA",)
    assert spellings("/é") == (b"/%C3%A9", "/é".encode())
    assert prefixes("/v2///") == (b"/v2",)
    assert prefixes("/") == (b"",)
