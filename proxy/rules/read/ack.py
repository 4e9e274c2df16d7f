"""The string form of a match, as ACK Ingress annotations have it: `header("foo", /^bar$/)`.

`/regex/` is a search anywhere in the value; `"text"` is equality. One thing is otherwise than in ACK: there an absent
value counts as empty, so `/^$/` takes requests without the header; here an absent name satisfies no such test.
The value reaches to the last parenthesis, so a regex may hold parentheses, slashes, commas and quotes.
"""

from __future__ import annotations

import re
from typing import Final

from proxy.rules.model import FieldTest, TextTest, ValueSource
from proxy.rules.read import units

FORM: Final = r'^\s*(header|cookie|query)\(\s*"([^"]+)"\s*,\s*(/.+/|".+")\s*\)\s*$'
_call = re.compile(FORM, re.DOTALL).match
_second_call = re.compile(r'[/"]\s*\)\s*,?\s*(?:and|or|&&|\|\||,)?\s*(?:[\w.-]+:\s*)?(?:header|cookie|query)\(').search
_with_service = re.compile(r"\s*[^\s:(]+:\s*(?=(?:header|cookie|query)\()").match


def read_ack(text: str) -> FieldTest:
    """The one test in a text. Raises ValueError."""
    service = _with_service(text)
    if service is not None:
        raise ValueError(f"leave out the service and write {text[service.end() :].strip()}")
    call = _call(text)
    if call is None:
        raise ValueError(
            f'expected a map, or a text like header("foo", /^bar$/) or cookie("foo", "bar"), not \'{text}\''
        )
    if _second_call(call[3]):
        raise ValueError("one test to a text; join several with `any:` or `all:`")
    where = _SOURCES[call[1]]
    name = _NAMES[where](call[2])
    value = call[3][1:-1]
    if call[3][0] == "/":
        return FieldTest(where, name, TextTest("regex", (units.regex(value),)))
    return FieldTest(where, name, TextTest("in", (value,)))


_SOURCES: Final[dict[str, ValueSource]] = {"header": "header", "cookie": "cookie", "query": "query"}
_NAMES: Final = {"header": units.header_name, "cookie": units.token, "query": units.argument_name}
