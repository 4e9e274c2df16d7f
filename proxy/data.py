"""`dataclass` with slots, as the standard library's but for the time it takes to make one.

The standard library writes and compiles up to seven functions for each class; here it does one, `__init__`, and the
others are shared. PERF: 0.3 of the time, and making them was a third of the start of control and workers. That frozen
data stays as it is, mypy alone sees to: it takes this for the standard library's. So an instance is made and unpickled
faster, too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(*, slots: bool, frozen: bool = False, eq: bool = True) -> Callable[[type], type]:
        """slots: always true. Fields may be kept from `repr`, not from comparison."""
        assert slots

        def make(cls: type) -> type:
            own = vars(cls).keys() & {"__eq__", "__hash__", "__repr__"}
            made = dataclasses.dataclass(slots=True, eq=False, repr=False)(cls)
            for name, function in _shared(made, frozen, eq).items():
                if name not in own:
                    setattr(made, name, function)
            return made

        return make


def _shared(cls: type, frozen: bool, eq: bool) -> dict[str, Any]:
    fields = dataclasses.fields(cls)
    shown = [field.name for field in fields if field.repr]

    def __repr__(self: object) -> str:
        return f"{cls.__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    if not eq:
        return {"__repr__": __repr__}
    values: Callable[[Any], Any] = attrgetter(*(field.name for field in fields))

    def __eq__(self: object, other: object) -> bool:
        return values(self) == values(other) if other.__class__ is cls else NotImplemented

    def __hash__(self: object) -> int:
        return hash(values(self))

    return {"__repr__": __repr__, "__eq__": __eq__, "__hash__": __hash__ if frozen else None}
