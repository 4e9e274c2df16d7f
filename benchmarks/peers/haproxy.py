"""HAProxy: ACLs for the matches, `rand` for the weights."""

from __future__ import annotations

from benchmarks.peers.base import Peer, Site, first_line, on_path

CONFIG = """
global
    nbthread 1
    maxconn 4096
    %(log_to)s

defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
    option http-keep-alive
    http-reuse always       # any idle connection, as all the peers do; the default is choosy at times

frontend shop
    bind 127.0.0.1:%(port)d %(tls)s
    %(log)s
    http-request set-header X-Forwarded-For %%[src]    # the clients send none: the same bytes as appending
    http-request set-header X-Forwarded-Proto %(scheme)s
    http-request set-header X-Forwarded-Host %%[req.hdr(host)]
    http-request set-header X-Request-Id %%[uuid()]
    acl chosen req.hdr(foo) -m str bar
    acl chosen req.cook(foo) -m str bar
    acl chosen url_param(foo) -m str bar
    acl lucky %(drawn)s lt %(share)d
    use_backend v2 if chosen or lucky
    default_backend v1

backend v1
    server a 127.0.0.1:%(v1)d

backend v2
    server a 127.0.0.1:%(v2)d

# Counters per frontend, backend and server are always kept; this makes them readable.
frontend stats
    bind 127.0.0.1:%(admin_port)d
    http-request use-service prometheus-exporter if { path /metrics }
    stats enable
    stats uri /
"""


LOG = """log global
    log-format '{"time":"%%[date,utime(%%Y-%%m-%%dT%%H:%%M:%%SZ)]","client":"%%ci","method":%%{+Q}HM,\
"host":"%%[var(txn.host),json(utf8s)]","target":"%%[var(txn.target),json(utf8s)]","status":%%ST,"flag":"%%tsc",\
"version":"%%b","duration_ms":%%Tr,"request_bytes":%%U,"response_bytes":%%B,"user_agent":"%%[var(txn.agent),json(utf8s)]"}'
    http-request set-var(txn.host) req.hdr(host)
    http-request set-var(txn.target) url
    http-request set-var(txn.agent) req.hdr(user-agent)"""


def command(program: str, site: Site) -> list[str]:
    config = site.folder / "haproxy.cfg"
    v1, v2 = site.services
    bundle = site.folder / "bundle.pem"
    if site.setup.tls:
        bundle.write_text("".join((site.folder / f"shop.{end}").read_text() for end in ("pem", "key")))
    values = {
        "port": site.port,
        "admin_port": site.admin_port,
        "v1": v1,
        "v2": v2,
        "share": site.share,
        "scheme": site.scheme,
        "drawn": "req.cook(uid),wt6,mod(100)" if site.setup.sticky else "rand(100)",
        "tls": f"ssl crt {bundle} ssl-min-ver TLSv1.3" if site.setup.tls else "",
        # HAProxy writes no files: it logs to a stream, which the benchmark has in a file.
        "log_to": "log stdout format raw local0" if site.access_log else "",
        "log": LOG.replace("%%", "%") if site.access_log else "",
    }
    config.write_text(CONFIG % values)
    return [program, "-db", "-f", str(config)]


PEER = Peer(
    "haproxy",
    "apt-get install haproxy",
    on_path("haproxy"),
    first_line("-v"),
    command,
    features=frozenset({"access_log", "sticky", "tls", "websocket"}),
    every=3,
)
