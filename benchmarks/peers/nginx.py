"""nginx: `map`s for the matches, `split_clients` for the weights."""

from __future__ import annotations

import os
import signal

from benchmarks.peers.base import Peer, Site, first_line, on_path
from benchmarks.processes import children, wait

CONFIG = """
daemon off;
master_process on;             # the default; the idle master is counted too
worker_processes %(workers)d;
pid %(folder)s/nginx.pid;
error_log stderr crit;
events { worker_connections 4096; }
http {
    client_body_temp_path %(folder)s/body;
    proxy_temp_path %(folder)s/proxy;
    fastcgi_temp_path %(folder)s/fastcgi;
    uwsgi_temp_path %(folder)s/uwsgi;
    scgi_temp_path %(folder)s/scgi;

    # The words of Grayhound's line, as far as nginx knows them.
    log_format json escape=json '{"time":"$time_iso8601","client":"$remote_addr","method":"$request_method",'
        '"host":"$http_host","target":"$request_uri","status":$status,"version":"$version",'
        '"endpoint":"$upstream_addr","duration":$request_time,"upstream":"$upstream_header_time",'
        '"request_length":$request_length,"response_bytes":$body_bytes_sent,"request_id":"$request_id",'
        '"user_agent":"$http_user_agent"}';
    access_log %(access_log)s;

    # Evaluated on use, outermost first: header, cookie, query, weight. $request_id is 128 random bits for each request.
    map $http_foo $version { bar v2; default $by_cookie; }
    map $cookie_foo $by_cookie { bar v2; default $by_query; }
    map $arg_foo $by_query { bar v2; default $by_weight; }
    split_clients %(key)s $by_weight { %(share)d%% v2; * v1; }
    map $http_upgrade $onward { websocket upgrade; default ""; }

    # keepalive is what makes nginx reuse connections at all; 1000 requests a connection is a limit no peer has.
    upstream v1 { server 127.0.0.1:%(v1)d; keepalive 128; keepalive_requests 100000000; }
    upstream v2 { server 127.0.0.1:%(v2)d; keepalive 128; keepalive_requests 100000000; }

    keepalive_requests 100000000;
    client_max_body_size 0;           # the default refuses the 1 MiB upload's class
    proxy_http_version 1.1;           # with Connection below: keep-alive to the services
    proxy_set_header Connection %(connection)s
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $http_host;
    proxy_set_header X-Request-Id $request_id;
    proxy_request_buffering off;      # by default an upload goes to a file first; no peer does that
    %(buffers)s
    proxy_max_temp_file_size 0;       # nor would they write a download to a file
    server_names_hash_max_size 65536;
    server_names_hash_bucket_size 128;
    %(tls)s

%(servers)s
    # All the metrics nginx has: connections and requests, none per version.
    server { listen 127.0.0.1:%(admin_port)d; location /metrics { stub_status; } }
}
"""
# The default of 4 KiB pieces doubles nginx's CPU at 1 MiB; 16 KiB is what HAProxy and Envoy read at a time.
BUFFERS = "proxy_buffer_size 16k; proxy_buffers 8 16k;"
TLS = "ssl_certificate %(folder)s/shop.pem; ssl_certificate_key %(folder)s/shop.key; ssl_protocols TLSv1.3;"
SERVER = "    server { listen 127.0.0.1:%d%s%s;%s location / { proxy_pass http://$version; } }\n"


def _servers(site: Site) -> str:
    """One for all hosts, or one for each host; the socket's options stand in the first alone."""
    ssl = " ssl" if site.setup.tls else ""
    names = [f" server_name {host};" for host in site.setup.hosts] if site.setup.routes else [""]
    return "".join(
        SERVER % (site.port, ssl, "" if number else " backlog=1024", name) for number, name in enumerate(names)
    )


def command(program: str, site: Site) -> list[str]:
    config = site.folder / "nginx.conf"
    v1, v2 = site.services
    config.write_text(
        CONFIG
        % {
            "folder": site.folder,
            "workers": site.setup.workers or 1,
            "admin_port": site.admin_port,
            "v1": v1,
            "v2": v2,
            "share": site.share,
            "access_log": f"{site.access_log} json" if site.access_log else "off",
            "key": "$cookie_uid" if site.setup.sticky else "$request_id",
            "connection": "$onward; proxy_set_header Upgrade $http_upgrade;" if site.setup.websocket else '"";',
            "buffers": "" if site.setup.own_buffers else BUFFERS,
            "tls": TLS % {"folder": site.folder} if site.setup.tls else "",
            "servers": _servers(site),
        }
    )
    return [program, "-p", str(site.folder), "-e", "stderr", "-c", str(config)]


def reload(site: Site, pid: int) -> None:
    """The master replaces the worker; the old one closes its connections when they are idle."""
    before = set(children(pid))
    os.kill(pid, signal.SIGHUP)
    wait(lambda: set(children(pid)).isdisjoint(before), "nginx has a new worker and the old one has gone")


PEER = Peer(
    "nginx",
    "apt-get install nginx-light",
    on_path("nginx"),
    first_line("-v"),
    command,
    features=frozenset({"access_log", "sticky", "tls", "websocket", "workers", "own_buffers", "routes"}),
    reload=reload,
)
