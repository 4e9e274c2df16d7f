"""The compiled rules against a naive interpreter: what a request gets is what the manual says, however it is found.

The interpreter shares nothing with the engine but the bucket of a key. It reads every route and every rule of every
request, in the words of the manual.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network
from itertools import count

import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.http.h1 import read_request_head
from proxy.http.message import RequestHead
from proxy.rules.actions import PathChange, Redirect, Respond
from proxy.rules.analysis.explain import explain
from proxy.rules.analysis.report import render_text, to_json
from proxy.rules.compile import compile_table
from proxy.rules.decision import Decision
from proxy.rules.model import (
    AllOf,
    AnyOf,
    ClientTest,
    Condition,
    EndpointSpec,
    FieldTest,
    MethodTest,
    ModTest,
    Not,
    NotTest,
    Otherwise,
    PathMatch,
    PathTest,
    PresentTest,
    RangeTest,
    Route,
    Rule,
    RuleFile,
    Service,
    Split,
    TextTest,
    ValueTest,
    Version,
)
from proxy.rules.person import Sticky, StickyCookie, StickyKey
from proxy.rules.split import bucketer, owner_of, owners

# --- The interpreter ----------------------------------------------------------------------------------------------


def values_of(where: str, name: str, head: RequestHead) -> list[bytes]:
    if where == "header":
        values = list(head.fields.get(name.encode(), ()))
        return [*values, b", ".join(values)] if values else []
    if where == "cookie":
        pairs = [pair.split(b"=", 1) for line in head.fields.get(b"cookie", ()) for pair in line.split(b";")]
        found = [pair[1].strip(b" \t") for pair in pairs if pair[0].strip(b" \t") == name.encode() and len(pair) == 2]
        return [value[1:-1] if len(value) > 1 and value[:1] == value[-1:] == b'"' else value for value in found[:1]]
    if where == "query":
        return list(head.arguments.get(name.encode(), ()))
    return [head.client.encode()] if head.client else []


def one_holds(test: TextTest | RangeTest | ModTest, value: bytes) -> bool:
    if not isinstance(test, TextTest):
        if not re.fullmatch(rb"[+-]?[0-9]+", value):
            return False
        number = int(value)
        return test.low <= number < test.high if isinstance(test, RangeTest) else number % test.divisor < test.below
    if test.kind == "regex":
        options = re2.Options()
        options.case_sensitive = not test.ignore_case
        return re2.compile(test.values[0].encode(), options).search(value) is not None
    texts = [text.encode() for text in test.values]
    if test.ignore_case:
        value, texts = value.lower(), [text.lower() for text in texts]
    if test.kind == "in":
        return value in texts
    return {"prefix": value.startswith, "suffix": value.endswith, "contains": value.__contains__}[test.kind](texts[0])


def value_holds(test: ValueTest, values: list[bytes]) -> bool:
    if isinstance(test, NotTest):
        return not value_holds(test.test, values)
    if isinstance(test, PresentTest):
        return bool(values) == test.present
    return any(one_holds(test, value) for value in values)


def path_holds(match: PathMatch, path: bytes) -> bool:
    wanted = match.value.encode()
    if match.kind == "exact":
        return path == wanted
    if match.kind == "regex":
        return re2.search(wanted, path) is not None
    wanted = wanted.rstrip(b"/")
    return wanted == b"" or path == wanted or path.startswith(wanted + b"/")


def holds(condition: Condition, head: RequestHead) -> bool:
    match condition:
        case AllOf(conditions):
            return all(holds(part, head) for part in conditions)
        case AnyOf(conditions):
            return any(holds(part, head) for part in conditions)
        case Not(part):
            return not holds(part, head)
        case FieldTest(where, name, test):
            return value_holds(test, values_of(where, name, head))
        case MethodTest(methods):
            return head.method.decode() in methods
        case PathTest(path):
            return path_holds(path, head.path)
        case ClientTest(networks):
            return any(ip_address(head.client) in ip_network(network) for network in networks)


def ranks(order: int, route: Route, head: RequestHead) -> Iterator[tuple[object, ...]]:
    """How well a route fits, once for each of its hosts that does; the least is the best."""
    host = head.host.decode()
    if not path_holds(route.path, head.path):
        return
    prefix = len([element for element in route.path.value.split("/") if element])
    path = {"exact": (0,), "prefix": (1, -prefix), "regex": (2, order)}[route.path.kind]
    for name in route.hosts or ("",):
        if name == "":
            yield (2, 0, path, not route.methods, order)
        elif name == host:
            yield (0, 0, path, not route.methods, order)
        elif name.startswith("*.") and host.endswith(name[1:]) and host != name[1:]:
            yield (1, -len(name), path, not route.methods, order)


Answer = tuple[str, str, str, set[str], int, str, str]
"""route, rule, reason, versions it may be, status, the id in the cookie that is set (NEW, or empty if none is), the URL
it is sent to"""
NEW = "[0-9a-f]{24}"


NOW, TTL = 1000, 100.0
KEYS = (b"the key of this year", b"the key of last year")


def sign(key: bytes, service: str, salt: str, text: str) -> str:
    scope = hmac.new(key, f"grayhound pin\0{service}\0{salt}".encode(), "sha256").digest()
    signature = hmac.new(scope, text.encode(), "sha256").digest()[:16]
    return f"{text}.{urlsafe_b64encode(signature).decode().removesuffix('==')}"


def pin_of(value: bytes, service: str, salt: str, ttl: float) -> tuple[str, bool] | None:
    """The version, and whether it is time to write the pin anew; None: no pin that holds."""
    text = value.decode("latin-1").rpartition(".")[0]
    signers = [key for key in KEYS if sign(key, service, salt, text).encode() == value]
    if not signers:
        return None
    _, when, version = text.split(".", 2)
    age = NOW - int(when)
    if ttl and age >= ttl:
        return None
    return version, signers[0] != KEYS[0] or bool(ttl and age >= ttl / 2)


def chosen(rule: Rule, route: Route, service: Service, head: RequestHead) -> tuple[str, set[str], str]:
    if rule.split is None:
        return "match", {rule.version}, ""
    everyone = {version for version, weight in rule.split.weights if weight > 0}
    if rule.sticky is None:
        return "weight", everyone, ""
    cookie = rule.sticky.cookie
    salt = rule.sticky.salt or f"{service.name}/{route.name}"
    if cookie and rule.sticky.mode == "pin":
        value = next(iter(values_of("cookie", cookie.name, head)), b"")
        pin = pin_of(value, service.name, salt, cookie.ttl)
        known = re.match(rb"[0-9a-f]{24}(?=\.|$)", value)
        written = known[0].decode() if known else NEW
        if pin and pin[0] in everyone:
            return "sticky", {pin[0]}, written if pin[1] else ""
        if pin and rule.sticky.on_zero == "keep" and pin[0] in dict(rule.split.weights):
            return "sticky", {pin[0]}, ""
        found = [values_of(key.where, key.name, head) for key in rule.sticky.by] + [[known[0]] if known else []]
        first = next((values[0] for values in found if values and values[0]), None)
        owned = owners(rule.split.weights, service.stable)
        return "sticky", {owner_of(bucketer(salt)(first), owned)} if first else everyone, written
    for key in (*rule.sticky.by, *([StickyKey("cookie", cookie.name)] if cookie else [])):
        values = values_of(key.where, key.name, head)
        if values and values[0]:
            bucket = bucketer(salt)(values[0])
            return "sticky", {owner_of(bucket, owners(rule.split.weights, service.stable))}, ""
    return ("sticky" if cookie else "weight"), everyone, NEW if cookie else ""


def asked_url(head: RequestHead) -> tuple[str, str, int, str]:
    host, _, port = head.fields[b"host"][0].decode().lower().partition(":")
    return head.scheme.decode(), host, int(port or 80 + 363 * (head.scheme == b"https")), head.target.decode()


def sent_to(redirect: Redirect, head: RequestHead) -> str:
    """Where a redirect leads, or empty: the request is there already."""
    scheme, host, port, target = asked_url(head)
    same = redirect.scheme in (None, scheme) and redirect.host in ("", host) and redirect.port in (0, port)
    if redirect.path is not None:
        path, mark, query = target.partition("?")
        same = same and path == redirect.path.value
        target = redirect.path.value + mark * bool(query) + query
    if same:
        return ""
    named = b":" in head.fields[b"host"][0]
    scheme = redirect.scheme or scheme
    own = 443 if scheme == "https" else 80
    port = redirect.port or (port if named and not redirect.scheme else own)
    return f"{scheme}://{redirect.host or host}{'' if port == own else f':{port}'}{target}"


def own_answer(part: Route | Rule, head: RequestHead) -> tuple[int, str] | None:
    """Status and Location, if a route or rule itself answers."""
    if part.redirect is not None and (where := sent_to(part.redirect, head)):
        return part.redirect.status, where
    return None if part.respond is None else (part.respond.status, "")


def interpret(rule_file: RuleFile, head: RequestHead) -> Answer | None:
    ranked = sorted((rank, order) for order, route in enumerate(rule_file.routes) for rank in ranks(order, route, head))
    for _, order in ranked:
        route = rule_file.routes[order]
        service = rule_file.services[route.service]
        if route.methods and head.method.decode() not in route.methods:
            continue
        if answer := own_answer(route, head):
            return route.name, "", "default", {""}, answer[0], "", answer[1]
        for rule in route.rules:
            if rule.match is None or holds(rule.match, head):
                if answer := own_answer(rule, head):
                    return route.name, rule.name, "match", {""}, answer[0], "", answer[1]
                if rule.redirect is None:
                    reason, versions, cookie = chosen(rule, route, service, head)
                    return route.name, rule.name, reason, versions, 0, cookie, ""
        if route.otherwise.kind != "next":
            return route.name, "", "default", {route.otherwise.version}, route.otherwise.status, "", ""
    return None


# --- Rule files and requests of a small world, in which much fits -------------------------------------------------

NAMES = ["a", "b"]
VALUES = ["", "1", "2", "12", "-3", "x", "X", "xy", "é", "1, 2"]
REGEXES = ["^x$", "^x", "x$", "x", "^(x|1)$", r"\d", "^1$|^2$", "x.", "^.$", "", r"^1, 2$"]
HOSTS = ["a.test", "b.a.test", "c.b.a.test", "*.a.test", "*.b.a.test", "*.test"]
PATHS = ["/", "/a", "/a/", "/a/b", "/a/b/c", "/ab"]
METHODS = ["GET", "POST", "PUT"]
VERSIONS = ["v1", "v2", "v3"]
SHOP = Service("shop", "v1", {name: Version(name, (EndpointSpec("http://127.0.0.1:80"),)) for name in VERSIONS})

text_tests = st.one_of(
    st.builds(
        TextTest, st.just("in"), st.lists(st.sampled_from(VALUES), min_size=1, max_size=3).map(tuple), st.booleans()
    ),
    st.builds(
        TextTest,
        st.sampled_from(["prefix", "suffix", "contains"]),
        st.tuples(st.sampled_from(VALUES)),
        st.booleans(),
    ),
    st.builds(TextTest, st.just("regex"), st.tuples(st.sampled_from(REGEXES)), st.booleans()),
)
value_tests = st.recursive(
    st.one_of(
        text_tests,
        st.builds(PresentTest, st.booleans()),
        st.builds(lambda low, more: RangeTest(low, low + more), st.integers(-4, 2), st.integers(1, 12)),
        st.builds(ModTest, st.just(3), st.integers(1, 2)),
    ),
    lambda inner: st.builds(NotTest, inner),
    max_leaves=2,
)
equal_tests = st.builds(
    lambda where, name, value: FieldTest(where, name, TextTest("in", (value,))),
    st.sampled_from(["header", "cookie", "query"]),
    st.sampled_from(NAMES),
    st.sampled_from(VALUES),
)
paths = st.builds(PathMatch, st.sampled_from(["exact", "prefix"]), st.sampled_from(PATHS)) | st.builds(
    PathMatch, st.just("regex"), st.sampled_from(["^/a", "b$", "/"])
)
conditions = st.recursive(
    st.one_of(
        equal_tests,
        st.builds(FieldTest, st.sampled_from(["header", "cookie", "query"]), st.sampled_from(NAMES), value_tests),
        st.builds(MethodTest, st.lists(st.sampled_from(METHODS), min_size=1, max_size=2).map(tuple)),
        st.builds(PathTest, paths),
        st.builds(ClientTest, st.sampled_from([("10.0.0.0/8",), ("10.1.0.0/16", "2001:db8::/32")])),
    ),
    lambda inner: st.one_of(
        st.builds(AllOf, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Not, inner),
    ),
    max_leaves=5,
)
keys = st.builds(StickyKey, st.sampled_from(["header", "cookie", "query"]), st.sampled_from(NAMES)) | st.just(
    StickyKey("client_ip")
)
salts = st.sampled_from(["", "salt"])
some_keys = st.lists(keys, max_size=2).map(tuple)
hashed = st.builds(Sticky, some_keys, st.none() | st.just(StickyCookie("gray")), salts)
pinned = st.builds(
    Sticky,
    some_keys | st.just(()),
    st.sampled_from([StickyCookie("gray"), StickyCookie("gray", TTL)]),
    salts,
    st.just("pin"),
    st.sampled_from(["move", "keep"]),
)
stickies = hashed | pinned
splits = (
    st.lists(st.integers(0, 3), min_size=3, max_size=3)
    .filter(any)
    .map(lambda weights: Split(tuple(zip(VERSIONS, map(float, weights), strict=True))))
)


redirects = st.builds(
    Redirect,
    st.sampled_from([None, "http", "https"]),
    st.sampled_from(["", "a.test", "new.test"]),
    st.sampled_from([0, 80, 443, 8080]),
    st.none() | st.builds(PathChange, st.just("full"), st.sampled_from(PATHS)),
    st.sampled_from([301, 308]),
)
responds = st.builds(Respond, st.sampled_from([200, 410]))


@st.composite
def rules(draw: st.DrawFn) -> tuple[Rule, ...]:
    """Up to eight rules, often of one name, so that they are found by look-ups too."""
    made = []
    some = draw(st.sampled_from([conditions, equal_tests, conditions | equal_tests]))
    for n in range(draw(st.integers(0, 8))):
        match = draw(st.none() | some if draw(st.integers(0, 5)) == 0 else some)
        if draw(st.integers(0, 4)) == 0:
            made.append(Rule(f"rule-{n}", match, redirect=draw(redirects)))
        elif draw(st.integers(0, 9)) == 0:
            made.append(Rule(f"rule-{n}", match, respond=draw(responds)))
        elif draw(st.booleans()):
            made.append(Rule(f"rule-{n}", match, version=draw(st.sampled_from(VERSIONS))))
        else:
            made.append(Rule(f"rule-{n}", match, split=draw(splits), sticky=draw(st.none() | stickies)))
    return tuple(made)


@st.composite
def rule_files(draw: st.DrawFn) -> RuleFile:
    service = replace(SHOP, stable=draw(st.sampled_from(VERSIONS)))
    otherwise = st.sampled_from([Otherwise("version", "v1"), Otherwise("next"), Otherwise("status", status=404)])
    routes = [
        Route(
            f"route-{n}",
            "shop",
            draw(otherwise),
            hosts=tuple(draw(st.lists(st.sampled_from(HOSTS), max_size=2, unique=True))),
            path=draw(paths),
            methods=tuple(draw(st.lists(st.sampled_from(METHODS), max_size=1))),
            rules=draw(rules()),
            redirect=draw(redirects) if draw(st.integers(0, 4)) == 0 else None,
            respond=draw(responds) if draw(st.integers(0, 9)) == 0 else None,
        )
        for n in range(draw(st.integers(0, 5)))
    ]
    return RuleFile({"shop": service}, tuple(routes))


fields = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=3)


PERSON = "0123456789abcdef01234567"


def own_cookies(*salts: str) -> st.SearchStrategy[str]:
    """What people may bring: ids, pins that hold under one of these salts, and pins that hold nowhere."""
    pins = st.builds(
        lambda key, service, salt, when, version: sign(key, service, salt, f"{PERSON}.{when}.{version}"),
        st.sampled_from([*KEYS, *KEYS, b"a key of somebody else's"]),
        st.sampled_from(["shop"] * 5 + ["cart"]),
        st.sampled_from(salts),
        st.sampled_from([NOW, NOW + 1, NOW - 49, NOW - 50, NOW - 99, NOW - 100]),
        st.sampled_from([*VERSIONS, *VERSIONS, "v9"]),
    )
    tampered = st.builds(
        lambda pin, at, put: pin[:at] + put + pin[at + 1 :], pins, st.integers(0, 70), st.sampled_from(["", "A", "."])
    )
    ids = st.sampled_from(["", "; gray=me", f"; gray={PERSON}", "; gray="])
    return st.one_of(ids, pins.map("; gray={}".format), pins.map("; gray={}".format), tampered.map("; gray={}".format))


own = own_cookies("salt", *(f"shop/route-{n}" for n in range(5)))


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    query = "&".join(f"{name}={value.replace(' ', '+')}" for name, value in draw(fields) if value.isascii())
    cookies = "; ".join(f"{name}={value}" for name, value in draw(fields) if "," not in value)
    lines = [f"{name}: {value}" for name, value in draw(fields)]
    lines.append(f"Cookie: {cookies}" + draw(own))
    target = draw(st.sampled_from([*PATHS, "/a/../a/b", "/%61", "//"])) + ("?" + query if query else "")
    host = draw(st.sampled_from(["a.test", "A.test:80", "b.a.test", "c.b.a.test", "test", "other"]))
    head = [f"{draw(st.sampled_from(METHODS))} {target} HTTP/1.1", f"Host: {host}", *lines, "", ""]
    return "\r\n".join(head).encode()


def read(raw: bytes, client: str, needs: frozenset[bytes]) -> RequestHead:
    head = read_request_head(raw, needs)
    head.client = client
    head.scheme = b"https" if client == "10.1.0.1" else b"http"
    return head


clients = st.sampled_from(["10.0.0.1", "10.1.0.1", "2001:db8::1"])


@settings(max_examples=150, deadline=None)
@given(
    rule_files(), st.lists(st.tuples(requests(), clients), min_size=1, max_size=6), st.floats(0, 1, exclude_max=True)
)
def test_the_engine_decides_as_the_manual_says(
    rule_file: RuleFile, asked: list[tuple[bytes, str]], draw: float
) -> None:
    """Same route, rule, reason, version, status and cookie; and the trace tells the same story."""
    engine_and_manual_agree(rule_file, asked, draw)


few = st.sampled_from(["1", "2", "1, 2"])
one_of_few = st.builds(
    lambda name, *values: FieldTest("header", name, TextTest("in", values)), st.sampled_from("ab"), few
)
looked_up = st.one_of(
    one_of_few,
    one_of_few,
    st.builds(lambda *parts: AllOf(parts), one_of_few, one_of_few),
    st.builds(lambda *parts: AnyOf(parts), one_of_few, one_of_few),
    st.builds(lambda field, method: AllOf((MethodTest((method,)), field)), one_of_few, st.sampled_from(METHODS)),
    st.builds(lambda method: MethodTest((method,)), st.sampled_from(METHODS)),
)
bare = st.builds(
    lambda lines: "".join(["GET / HTTP/1.1\r\nHost: a\r\n", *(f"{n}: {v}\r\n" for n, v in lines), "\r\n"]).encode(),
    st.lists(st.tuples(st.sampled_from("aab"), few), max_size=3),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(looked_up, min_size=3, max_size=16), st.lists(st.tuples(bare, clients), min_size=8, max_size=8))
def test_rules_found_by_a_value_are_the_first_that_hold(
    matches: list[Condition], asked: list[tuple[bytes, str]]
) -> None:
    """Many rules of few names and values in one route, so that several ask for what one request brings."""
    split = Split((("v1", 1.0), ("v2", 1.0)))
    made = [
        Rule(f"rule-{n:02}", match, split=split) if n % 3 == 2 else Rule(f"rule-{n:02}", match, version="v2")
        for n, match in enumerate(matches)
    ]
    route = Route("route-0", "shop", Otherwise("version", "v1"), rules=tuple(made))
    engine_and_manual_agree(RuleFile({"shop": SHOP}, (route,)), asked, 0.5)


visits = st.builds(
    lambda user, own: f"GET / HTTP/1.1\r\nHost: x\r\n{user}Cookie: x=y{own}\r\n\r\n".encode(),
    st.sampled_from(["", "a: 1\r\n", "a: x\r\n"]),
    own_cookies("salt", "shop/route-0"),
)


@settings(max_examples=300, deadline=None)
@given(splits, pinned, st.lists(st.tuples(visits, clients), min_size=6, max_size=6))
def test_pins_hold_as_the_manual_says(split: Split, sticky: Sticky, asked: list[tuple[bytes, str]]) -> None:
    """One rule, and people with pins of every kind: of other keys, services and salts, too old, and tampered with."""
    route = Route("route-0", "shop", Otherwise("version", "v1"), rules=(Rule("rule-0", split=split, sticky=sticky),))
    engine_and_manual_agree(RuleFile({"shop": SHOP}, (route,)), asked, 0.5)


def engine_and_manual_agree(rule_file: RuleFile, asked: list[tuple[bytes, str]], draw: float) -> None:
    ids = count()
    rule_file = replace(rule_file, cookie_keys=KEYS)
    table = compile_table(rule_file, lambda: draw, lambda: f"{next(ids):024x}", lambda: float(NOW))
    assert [decision.number for decision in table.decisions] == list(range(len(table.decisions)))
    for raw, client in asked:
        decision = table.match(read(raw, client, table.needs))
        # The interpreter reads a head with every field there is: the engine must have asked for all it needs.
        whole = read(raw, client, frozenset((b"a", b"b", b"cookie")))
        wanted = interpret(rule_file, whole)
        if wanted is None:
            assert decision is None
        else:
            check(decision, wanted, table.decisions, rule_file)
        agrees(explain(rule_file, whole, lambda: float(NOW)), wanted)


def check(decision: Decision | None, wanted: Answer, decisions: list[Decision], rule_file: RuleFile) -> None:
    assert decision is not None
    route, rule, reason, versions, status, cookie, where = wanted
    assert isinstance(decision.action, Redirect) == bool(where)
    assert (decision.route, decision.rule, decision.reason, decision.status) == (route, rule, reason, status)
    assert decision.version in versions
    assert bool(decision.set_cookie) == bool(cookie)
    if cookie:
        told(decision, cookie, rule_file)
    ready = decisions[decision.number]
    assert (ready.route, ready.rule, ready.version, ready.reason) == (route, rule, decision.version, reason)
    assert decision.rule_order == (int(rule.removeprefix("rule-")) if rule else -1)


def told(decision: Decision, known: str, rule_file: RuleFile) -> None:
    """The cookie that is set is an id, or a pin to the version that was decided."""
    value = decision.set_cookie.partition(b";")[0].removeprefix(b"gray=")
    assert re.match(known.encode(), value)
    route = next(route for route in rule_file.routes if route.name == decision.route)
    sticky = route.rules[decision.rule_order].sticky
    assert sticky is not None
    if sticky.mode == "pin":
        pin = pin_of(value, decision.service, sticky.salt or f"{decision.service}/{decision.route}", TTL)
        assert pin == (decision.version, False)
    else:
        assert len(value) == 24


def agrees(trace: object, wanted: Answer | None) -> None:
    story = to_json(trace)  # type: ignore[arg-type]
    assert render_text(trace)  # type: ignore[arg-type]
    if wanted is None:
        assert (story["route"], story["status"]) == ("", 404)
        return
    route, rule, reason, versions, status, _, where = wanted
    assert (story["route"], story["rule"], story["reason"], story["status"]) == (route, rule, reason, status)
    assert story["redirect"] == where
    assert {story["version"]} == (versions if len(versions) == 1 else {""})
