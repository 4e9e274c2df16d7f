from __future__ import annotations

from collections.abc import Callable

import pytest

from proxy.rules.read import units


@pytest.mark.parametrize(
    ("read", "text", "expected"),
    [
        (units.duration, "250ms", 0.25),
        (units.duration, "1.5s", 1.5),
        (units.duration, "10m", 600.0),
        (units.duration, "8h", 28_800.0),
        (units.duration, "30d", 2_592_000.0),
        (units.duration, "0", 0.0),
        (units.duration, "3650d", units.DURATION_MAX_S),
        (units.percent, "20%", 0.2),
        (units.percent, "100 %", 1.0),
        (units.percent, "99.5%", 0.995),
        (units.weight, "0", 0.0),
        (units.weight, "0.5", 0.5),
        (units.weight, "1000000000", units.WEIGHT_MAX),
        (units.statuses, "200", (200, 200)),
        (units.statuses, "200-399", (200, 399)),
        (units.name, "v1.2-rc_3", "v1.2-rc_3"),
        (units.name, "x" * 128, "x" * 128),
        (units.title, "beta users", "beta users"),
        (units.header_name, "X-User-Id", "x-user-id"),
        (units.method, "PROPFIND", "PROPFIND"),
        (units.network, "192.0.2.1", "192.0.2.1/32"),
        (units.network, "2001:DB8::/32", "2001:db8::/32"),
        (units.address, "::1", "::1"),
        (units.host_scope, "Shop.Example.com.", "shop.example.com"),
        (units.host_scope, "*.Example.com", "*.example.com"),
        (units.host_scope, "[0:0::1]", "[::1]"),
        (units.host_scope, "10.0.0.1", "10.0.0.1"),
        (units.endpoint_url, "http://10.0.0.11", "http://10.0.0.11:80"),
        (units.endpoint_url, "HTTPS://Shop_v1.example.com/", "https://shop_v1.example.com:443"),
        (units.endpoint_url, "http://[2001:DB8::1]:8080", "http://[2001:db8::1]:8080"),
        (units.endpoint_url, "http://a:65535", "http://a:65535"),
        (units.path, "/a%2fb/é", "/a%2fb/é"),
        (units.request_path, "/a?b=c", "/a?b=c"),
        (units.regex, r"^(a|b)\d+$", r"^(a|b)\d+$"),
        (units.boolean, "True", True),
        (units.retry_condition, "502", 502),
        (units.retry_condition, "reset", "reset"),
        (units.cookie_domain, ".example.com", "example.com"),
    ],
)
def test_a_unit_has_one_normal_form(read: Callable[[str], object], text: str, expected: object) -> None:
    """What may be written in several ways is compared in one."""
    assert read(text) == expected


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *[(units.duration, text) for text in ("", "5", "1m30s", "1e3s", "1 s", "-1s", "3651d", "٣s")],
        (units.some_duration, "0s"),
        *[(units.percent, text) for text in ("20", "-1%", "100.1%", "%", "nan%")],
        *[(units.weight, text) for text in ("", "-1", "1e3", ".nan", ".inf", "1_0", "20%", "1000000001", "٣")],
        *[(units.statuses, text) for text in ("99", "600", "399-200", "2xx")],
        *[(units.name, text) for text in ("", "a b", "a/b", "-a", "é", "a\n", "x" * 129)],
        *[(units.title, text) for text in ("", " a", "a\n", "\x7f")],
        *[(units.token, text) for text in ("", "a b", "a:b", "a=b", "a;b", "é", "a\n")],
        *[(units.method, text) for text in ("get", "", "G T")],
        *[(units.network, text) for text in ("10.0.0.1/8", "10.0.0.0/33", "a", "")],
        *[(units.host_scope, text) for text in ("*", "*.", "a.*", "a:80", "http://a", "a..b", "256.0.0.1", "x" * 64)],
        (units.host_scope, ".".join(["x" * 60] * 5)),
        *[(units.endpoint_url, f"http://{text}") for text in ("", "a:0", "a:65536", "a:b", "u@a", "a/b", "a?b", "a#b")],
        *[(units.endpoint_url, text) for text in ("a", "ws://a", "//a", "http:a", "http://a b", "http://a\n")],
        *[(units.path, text) for text in ("", "a", "/a?b", "/a#b", "/a/../b", "/.", "/a b", "/%", "/%2g", "/a\n")],
        *[(units.regex, text) for text in ("(?=a)", "(?<!a)", r"(a)\1", "(", "a{1001}")],
        *[(units.boolean, text) for text in ("yes", "on", "1", "")],
        *[(units.retry_condition, text) for text in ("499", "600", "5xx", "timeout")],
        (units.argument_name, ""),
        (units.some_text, ""),
        (units.field_value, "a\r\nb"),
        (units.attribute, "a;b"),
    ],
)
def test_what_is_no_unit_is_refused(read: Callable[[str], object], text: str) -> None:
    """With a sentence that says what is expected."""
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        read(text)
