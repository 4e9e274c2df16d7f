"""Settings: one list of options, from the command line, the environment and defaults."""

from __future__ import annotations

import ipaddress
import pickle

import pytest

from proxy import settings
from proxy.settings import Listen, Settings, read_settings


def test_defaults_are_those_of_the_manual() -> None:
    """Only the rule file must be named; the rest has a default."""
    found = read_settings({"rules": "rules.yaml"}, {}, 7)
    assert found.listen == (Listen("0.0.0.0", 8080),)
    assert found.admin == ("127.0.0.1", 9900)
    assert found.access_log == "off"
    assert found.drain_timeout_s == 30.0
    assert found.trusted_proxies == ()
    assert found.workers == 7


def test_each_option_is_read() -> None:
    """Every option has an effect, lists are joined by commas."""
    given = {
        "rules": "r.yaml",
        "listen": "127.0.0.1:0,[::1]:81+proxy, :82",
        "tls-listen": "[::1]:443+proxy",
        "tls-cert": "a.pem:a.key, /b:c.pem:/b.key",
        "tls-client-ca": "ca.pem",
        "admin": "localhost:1",
        "admin-token-file": "token",
        "cookie-key-file": "keys",
        "state-dir": "/var/lib/grayhound",
        "rollout-command": "mail -s rollout ops",
        "workers": "3",
        "trusted-proxies": "10.0.0.0/8,192.0.2.1,fd00::/8",
        "max-body": "10MiB",
        "max-connections": "1000",
        "max-connections-per-client": "10",
        "access-log": "./access.log",
        "tracing": "otlp",
        "drain-timeout": "1.5m",
        "log-level": "DEBUG",
    }
    assert given.keys() == settings.options().keys()
    assert read_settings(given, {}, 7) == Settings(
        rules="r.yaml",
        listen=(Listen("127.0.0.1", 0), Listen("::1", 81, True), Listen("0.0.0.0", 82)),
        tls_listen=(Listen("::1", 443, True),),
        tls_cert=(("a.pem", "a.key"), ("/b:c.pem", "/b.key")),
        tls_client_ca="ca.pem",
        admin=("localhost", 1),
        admin_token_file="token",
        cookie_key_file="keys",
        state_dir="/var/lib/grayhound",
        rollout_command="mail -s rollout ops",
        workers=3,
        trusted_proxies=tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "192.0.2.1/32", "fd00::/8"))),
        max_body=10 << 20,
        max_connections=1000,
        max_connections_per_client=10,
        access_log="./access.log",
        tracing="otlp",
        drain_timeout_s=90.0,
        log_level="debug",
    )


def test_environment_stands_in_for_options_not_given() -> None:
    """The command line comes before the environment, an empty variable counts as absent, blanks part a list too."""
    environ = {
        "GRAYHOUND_RULES": "e.yaml",
        "GRAYHOUND_WORKERS": "2",
        "GRAYHOUND_ADMIN": "",
        "GRAYHOUND_PORT": "tcp://x",
        "GRAYHOUND_LISTEN": ":81 :82, :83",
    }
    found = read_settings({"workers": "5"}, environ, 7)
    assert [listen.port for listen in found.listen] == [81, 82, 83]
    assert (found.rules, found.workers, found.admin) == ("e.yaml", 5, ("127.0.0.1", 9900))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("listen", "8080"),
        ("listen", "host"),
        ("listen", "host:65536"),
        ("listen", "host:-1"),
        ("listen", "::1:8080"),
        ("listen", "host:80+other"),
        ("listen", "host:80+proxy+proxy"),
        ("admin", "host:80+proxy"),
        ("listen", ","),
        ("listen", ",".join(["h:1"] * 65)),
        ("tls-listen", "127.0.0.1:443"),
        ("tls-listen", "443"),
        ("tls-cert", "a.pem:a.key"),
        ("tls-cert", "a.pem"),
        ("tls-cert", ":a.key"),
        ("tls-client-ca", "ca.pem"),
        ("workers", "0"),
        ("workers", "257"),
        ("workers", "two"),
        ("workers", "²"),
        ("trusted-proxies", "10.0.0.1/8"),
        ("trusted-proxies", "everyone"),
        ("max-body", "10MB"),
        ("max-body", "-1"),
        ("max-body", "1.5MiB"),
        ("max-connections", "many"),
        ("max-connections-per-client", "-1"),
        ("access-log", "jsn"),
        ("tracing", "on"),
        ("access-log", "JSON"),
        ("drain-timeout", "30"),
        ("drain-timeout", "-1s"),
        ("drain-timeout", "2d"),
        ("log-level", "loud"),
    ],
)
def test_bad_values_name_their_option(name: str, text: str) -> None:
    """A value that cannot be used is refused in one line that says where it stands."""
    with pytest.raises(ValueError, match=f"^--{name}: ") as caught:
        read_settings({"rules": "r", name: text}, {}, 7)
    assert "\n" not in str(caught.value)


def test_bad_environment_names_its_variable() -> None:
    """The operator reads which variable is wrong."""
    with pytest.raises(ValueError, match=r"^GRAYHOUND_WORKERS: "):
        read_settings({"rules": "r"}, {"GRAYHOUND_WORKERS": "0"}, 7)


def test_limits_are_inclusive() -> None:
    """At the limit is allowed, one past it is not (above)."""
    found = read_settings(
        {"rules": "r", "workers": "256", "listen": ",".join(["h:1"] * 64), "drain-timeout": "1d"}, {}, 7
    )
    assert (found.workers, len(found.listen), found.drain_timeout_s) == (256, 64, 86_400.0)
    assert read_settings({"rules": "r"}, {}, 1000).workers == 256


def test_tls_may_stand_alone() -> None:
    """An empty --listen leaves the TLS listeners, of which there may be 64, with 1000 certificates."""
    given = {"rules": "r", "listen": "", "tls-listen": "h:1", "tls-cert": "c:k"}
    assert (read_settings(given, {}, 1).listen, read_settings(given, {}, 1).tls_listen) == ((), (Listen("h", 1),))
    for option, one, most in (("tls-listen", "h:1", 64), ("tls-cert", "c:k", 1000)):
        read_settings(given | {option: ",".join([one] * most)}, {}, 1)
        with pytest.raises(ValueError, match=f"^--{option}: at most {most}"):
            read_settings(given | {option: ",".join([one] * (most + 1))}, {}, 1)


def test_the_rule_file_is_needed() -> None:
    """Without a rule file there is nothing to serve."""
    with pytest.raises(ValueError, match="RULES or GRAYHOUND_RULES"):
        read_settings({}, {}, 7)


def test_settings_travel_to_workers() -> None:
    """Settings pickle to an equal value."""
    found = read_settings({"rules": "r", "trusted-proxies": "10.0.0.0/8"}, {}, 7)
    assert pickle.loads(pickle.dumps(found)) == found
