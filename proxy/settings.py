"""What is fixed while the process runs: the options of `grayhound serve`, each said once, at its field.

The command line and the GRAYHOUND_* environment are built from these fields, so no list of options stands elsewhere.
Everything else lives in the rule file.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Final, NamedTuple

from proxy.data import dataclass

Address = tuple[str, int]
"""Host (a name or a numeric address, without brackets) and port; port 0 lets the kernel choose."""


class Listen(NamedTuple):
    """Where clients connect. proxy_headers: through a load balancer that speaks the PROXY protocol, and no one else."""

    host: str
    port: int
    proxy_headers: bool = False


PairFiles = tuple[str, str]
"""The file of a certificate, with the chain that leads to its issuer, and the file of its private key."""
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

WORKERS_MAX: Final = 256
"""Worker processes: more than any machine has cores to give them; a slip of the finger must not fork-bomb the host."""
LISTENERS_MAX: Final = 64
"""Addresses to listen on; each is a socket in each worker."""
CERTIFICATES_MAX: Final = 1000
"""Certificates to choose from; all their files are read once a second."""
DURATION_MAX_S: Final = 86_400.0
"""A day: longer than any supervisor waits before it kills."""
UNITS_BYTES: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
ACCESS_LOGS: Final = ("off", "json", "text")
TRACINGS: Final = ("off", "otlp")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
UNITS_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


@dataclass(frozen=True, slots=True)
class Option:
    """How one field is given. read: from text, raising ValueError that says what is wrong.

    many: the field is a tuple of what `read` gives; repeated on the command line or joined by commas.
    """

    read: Callable[[str], Any]
    metavar: str
    help: str
    many: bool = False


def option(read: Callable[[str], Any], metavar: str, help: str, *, many: bool = False) -> dict[str, Option]:
    """The metadata of a field that an operator may set."""
    return {"option": Option(read, metavar, help, many)}


def read_address(text: str) -> Address:
    """`HOST:PORT`, `[::1]:PORT` or `:PORT` (every IPv4 address)."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"'{text}' needs brackets around the IPv6 address: [::1]:8080")
    if not colon or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(f"'{text}' is not HOST:PORT, like 0.0.0.0:8080")
    return host or "0.0.0.0", int(port)


def read_listen(text: str) -> Listen:
    """`HOST:PORT`, or `HOST:PORT+proxy` where connections begin with a header of the PROXY protocol."""
    address = text.removesuffix("+proxy")
    return Listen(*read_address(address), address != text)


def read_pair(text: str) -> PairFiles:
    """`CERT:KEY`."""
    certificate, _, key = text.rpartition(":")
    if not certificate or not key:
        raise ValueError(f"'{text}' is not CERT:KEY, like shop.pem:shop.key")
    return certificate, key


def read_network(text: str) -> Network:
    """A CIDR, or one address for itself alone."""
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"'{text}' is not a network like 10.0.0.0/8: {error}") from None


def read_workers(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= WORKERS_MAX:
        raise ValueError(f"'{text}' is not a whole number from 1 to {WORKERS_MAX}")
    return int(text)


def read_duration(text: str) -> float:
    """Seconds, from `30s`, `500ms` or `5m`."""
    parts = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)", text)
    if parts is None or (seconds := float(parts[1]) * UNITS_S[parts[2]]) > DURATION_MAX_S:
        raise ValueError(f"'{text}' is not a duration like 30s or 5m, of a day at most")
    return seconds


def read_size(text: str) -> int:
    """Bytes, from `10MiB`, `64KiB` or `1000`; 0 for no limit."""
    parts = re.fullmatch("([0-9]{1,15})(B|KiB|MiB|GiB)?", text)
    if parts is None:
        raise ValueError(f"'{text}' is not a size like 10MiB")
    return int(parts[1]) * UNITS_BYTES[parts[2] or "B"]


def read_count(text: str) -> int:
    """A number of things; 0 for the default."""
    if not re.fullmatch("[0-9]{1,9}", text):
        raise ValueError(f"'{text}' is not a whole number")
    return int(text)


def read_access_log(text: str) -> str:
    """One of ACCESS_LOGS, or a file, which has a dot or a slash in its name: a word misspelt must not become a file."""
    if text not in ACCESS_LOGS and not {"/", "."} & set(text):
        raise ValueError(f"'{text}' is not one of {', '.join(ACCESS_LOGS)}, nor a FILE like ./{text or 'access'}.log")
    return text


def read_tracing(text: str) -> str:
    if text not in TRACINGS:
        raise ValueError(f"'{text}' is not one of {', '.join(TRACINGS)}")
    return text


def read_log_level(text: str) -> str:
    if text.lower() not in LOG_LEVELS:
        raise ValueError(f"'{text}' is not one of {', '.join(LOG_LEVELS)}")
    return text.lower()


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of `grayhound serve`."""

    rules: str = field(metadata=option(str, "RULES", "the rule file"))
    listen: tuple[Listen, ...] = field(
        default=(Listen("0.0.0.0", 8080),),
        metadata=option(
            read_listen,
            "HOST:PORT",
            "where clients connect (default 0.0.0.0:8080); +proxy: through a load balancer that says whose a "
            "connection is, in a header of the PROXY protocol, version 1 or 2",
            many=True,
        ),
    )
    tls_listen: tuple[Listen, ...] = field(
        default=(),
        metadata=option(read_listen, "HOST:PORT", "where clients connect by TLS (default: nowhere)", many=True),
    )
    tls_cert: tuple[PairFiles, ...] = field(
        default=(),
        metadata=option(
            read_pair,
            "CERT:KEY",
            "a certificate with its chain and its key, PEM; the client's SNI chooses, the first is the default; "
            "reread when the files change",
            many=True,
        ),
    )
    tls_client_ca: str = field(
        default="",
        metadata=option(str, "FILE", "TLS clients must show a certificate issued by one of these CAs, PEM"),
    )
    admin: Address = field(
        default=("127.0.0.1", 9900),
        metadata=option(read_address, "HOST:PORT", "metrics, health and the dashboard (default 127.0.0.1:9900)"),
    )
    admin_token_file: str = field(
        default="",
        metadata=option(
            str,
            "FILE",
            "changes by way of the admin port need the token in it (default: they must come from this host)",
        ),
    )
    workers: int = field(
        default=1,
        metadata=option(read_workers, "N", "worker processes (default: the cores available)"),
    )
    trusted_proxies: tuple[Network, ...] = field(
        default=(),
        metadata=option(
            read_network, "CIDR,...", "proxies whose X-Forwarded-* fields and PROXY headers are believed", many=True
        ),
    )
    cookie_key_file: str = field(
        default="",
        metadata=option(
            str, "FILE", "what signs the cookies of `mode: pin`, one key a line; the first signs, all are believed"
        ),
    )
    state_dir: str = field(
        default="",
        metadata=option(str, "DIR", "where it is remembered how far rollouts are (default: beside the rule file)"),
    )
    rollout_command: str = field(
        default="",
        metadata=option(
            str, "COMMAND", "run by the shell for each event of a rollout, which it gets as JSON on its standard input"
        ),
    )
    max_body: int = field(
        default=0,
        metadata=option(read_size, "SIZE", "a request's body, like 10MiB (default 0: no limit)"),
    )
    max_connections: int = field(
        default=0,
        metadata=option(
            read_count, "N", "clients' connections per worker (default 0: as many as the file limit allows)"
        ),
    )
    max_connections_per_client: int = field(
        default=0,
        metadata=option(read_count, "N", "of one address, per worker, trusted proxies excepted (default 0: no limit)"),
    )
    access_log: str = field(
        default="off",
        metadata=option(
            read_access_log,
            "off|json|text|FILE",
            "a line per request: JSON or text to standard output, or JSON to a file, opened again at HUP (default off)",
        ),
    )
    tracing: str = field(
        default="off",
        metadata=option(
            read_tracing, "off|otlp", "OpenTelemetry spans of requests, where the OTEL_* variables say (default off)"
        ),
    )
    drain_timeout_s: float = field(
        default=30.0,
        metadata=option(read_duration, "DURATION", "how long requests may take to end at a stop (default 30s)"),
    )
    log_level: str = field(
        default="info",
        metadata=option(read_log_level, "LEVEL", f"{', '.join(LOG_LEVELS)} (default info)"),
    )


def options() -> dict[str, Option]:
    """Every option by its name, in the order of the fields: `drain-timeout` for `drain_timeout_s`."""
    return {option_name(item.name): item.metadata["option"] for item in dataclasses.fields(Settings)}


def option_name(field_name: str) -> str:
    return field_name.removesuffix("_s").replace("_", "-")


def variable(name: str) -> str:
    """The environment variable of an option: `GRAYHOUND_DRAIN_TIMEOUT` for `drain-timeout`."""
    return "GRAYHOUND_" + name.upper().replace("-", "_")


def read_settings(given: Mapping[str, str], environ: Mapping[str, str], cores: int) -> Settings:
    """Settings from the command line (`given`, by option name), then the environment, then the defaults.

    cores: those available here, the default number of workers.

    An empty variable counts as absent. Other GRAYHOUND_* variables are left alone: Kubernetes sets some for a
    Service of that name. Raises ValueError with one line that names the option or variable.
    """
    values: dict[str, Any] = {"workers": min(cores, WORKERS_MAX)}
    for item in dataclasses.fields(Settings):
        name, how = option_name(item.name), item.metadata["option"]
        source, text = f"--{name}", given.get(name)
        if text is None:
            source, text = variable(name), environ.get(variable(name)) or None
            if text is not None and how.many:
                text = ",".join(text.split())  # as in folded YAML, where lists for the environment are written
        if text is not None:
            values[item.name] = _read(how, text, source)
    if "rules" not in values:
        raise ValueError(f"a rule file is needed: RULES or {variable('rules')}")
    settings = Settings(**values)
    _check_listeners(settings)
    return settings


def _check_listeners(settings: Settings) -> None:
    """`--listen ''` leaves TLS alone."""
    if not (settings.listen or settings.tls_listen) or len(settings.listen) > LISTENERS_MAX:
        raise ValueError(f"--listen: from 1 to {LISTENERS_MAX} addresses")
    if len(settings.tls_listen) > LISTENERS_MAX:
        raise ValueError(f"--tls-listen: at most {LISTENERS_MAX} addresses")
    if settings.tls_listen and not settings.tls_cert:
        raise ValueError("--tls-listen: a certificate is needed: --tls-cert CERT:KEY")
    if len(settings.tls_cert) > CERTIFICATES_MAX:
        raise ValueError(f"--tls-cert: at most {CERTIFICATES_MAX} certificates")
    for option, given in (("cert", settings.tls_cert), ("client-ca", settings.tls_client_ca)):
        if given and not settings.tls_listen:
            raise ValueError(f"--tls-{option}: nobody would see it without --tls-listen HOST:PORT")


def _read(how: Option, text: str, source: str) -> Any:
    try:
        if how.many:
            return tuple(how.read(part.strip()) for part in text.split(",") if part.strip())
        return how.read(text)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
