from __future__ import annotations

from proxy.rules.model import EndpointSpec, Otherwise, Route, Rule, RuleFile, Service, Split, Version
from proxy.rules.read.check import check

SHOP = Service("shop", "v1", {"v1": Version("v1", (EndpointSpec("http://a:80"),))})


def findings(route: Route, service: Service = SHOP) -> list[tuple[tuple[str | int, ...], str]]:
    return list(check(RuleFile({service.name: service}, (route,))))


def test_a_sound_file_has_no_findings() -> None:
    """Every name is known, every sum is positive."""
    rules = (Rule("a", version="v1"), Rule("b", split=Split((("v1", 1.0),))))
    assert findings(Route("r", "shop", Otherwise("version", "v1"), rules=rules)) == []


def test_each_unknown_name_of_a_split_is_told() -> None:
    """With what the service has instead."""
    rule = Rule("a", split=Split((("v1", 1.0), ("v2", 1.0), ("v3", 1.0))))
    assert findings(Route("r", "shop", Otherwise("next"), rules=(rule,))) == [
        (("routes", 0, "rules", 0, "split"), f"unknown version '{name}' of service 'shop'; it has v1")
        for name in ("v2", "v3")
    ]


def test_nothing_is_said_of_what_could_not_be_read() -> None:
    """A service without versions, and an absent service, are told where they are read."""
    bare = Service("shop", "", {})
    assert findings(Route("r", "shop", Otherwise("version", "v7")), bare) == []
    assert findings(Route("r", "", Otherwise("next"))) == []


def test_long_lists_of_names_are_cut() -> None:
    """A message stays one line, however many versions there are."""
    versions = {f"v{number}": Version(f"v{number}", (EndpointSpec("http://a:80"),)) for number in range(12)}
    service = Service("shop", "x", versions)
    (finding,) = findings(Route("r", "shop", Otherwise("next")), service)
    assert finding[1].endswith("it has v0, v1, v2, v3, v4, v5, v6, v7, v8, v9 and 2 more")
