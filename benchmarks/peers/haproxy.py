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
    option http-keep-alive
    http-reuse always       # any idle connection, as all the peers do; the default is choosy at times

frontend shop
    bind 127.0.0.1:%(port)d
    %(log)s
    http-request set-header X-Forwarded-For %%[src]    # the clients send none: the same bytes as appending
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Host %%[req.hdr(host)]
    http-request set-header X-Request-Id %%[uuid()]
    acl chosen req.hdr(foo) -m str bar
    acl chosen req.cook(foo) -m str bar
    acl chosen url_param(foo) -m str bar
    acl lucky rand(100) lt 20
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


def command(program: str, site: Site) -> list[str]:
    config = site.folder / "haproxy.cfg"
    v1, v2 = site.services
    # HAProxy writes no files: it logs to a stream, which the benchmark has in a file.
    log_to, log = ("log stdout format raw local0", "log global\n    option httplog") if site.access_log else ("", "")
    config.write_text(
        CONFIG % {"port": site.port, "admin_port": site.admin_port, "v1": v1, "v2": v2, "log_to": log_to, "log": log}
    )
    return [program, "-db", "-f", str(config)]


PEER = Peer("haproxy", "apt-get install haproxy", on_path("haproxy"), first_line("-v"), command)
