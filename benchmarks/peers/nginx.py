"""nginx: `map`s for the matches, `split_clients` for the weights."""

from __future__ import annotations

from benchmarks.peers.base import Peer, Site, first_line, on_path

CONFIG = """
daemon off;
master_process on;             # the default; the idle master is counted too
worker_processes 1;
pid %(folder)s/nginx.pid;
error_log stderr crit;
events { worker_connections 4096; }
http {
    access_log %(access_log)s;
    client_body_temp_path %(folder)s/body;
    proxy_temp_path %(folder)s/proxy;
    fastcgi_temp_path %(folder)s/fastcgi;
    uwsgi_temp_path %(folder)s/uwsgi;
    scgi_temp_path %(folder)s/scgi;

    # Evaluated on use, outermost first: header, cookie, query, weight. $request_id is 128 random bits for each request.
    map $http_foo $version { bar v2; default $by_cookie; }
    map $cookie_foo $by_cookie { bar v2; default $by_query; }
    map $arg_foo $by_query { bar v2; default $by_weight; }
    split_clients $request_id $by_weight { 20%% v2; * v1; }

    # keepalive is what makes nginx reuse connections at all; 1000 requests a connection is a limit no peer has.
    upstream v1 { server 127.0.0.1:%(v1)d; keepalive 128; keepalive_requests 100000000; }
    upstream v2 { server 127.0.0.1:%(v2)d; keepalive 128; keepalive_requests 100000000; }

    server {
        listen 127.0.0.1:%(port)d backlog=1024;
        keepalive_requests 100000000;
        client_max_body_size 0;           # the default refuses the 1 MiB upload's class
        location / {
            proxy_pass http://$version;
            proxy_http_version 1.1;       # with the next line: keep-alive to the services
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Request-Id $request_id;
            proxy_request_buffering off;  # by default an upload goes to a file first; no peer does that
            # The default of 4 KiB pieces doubles nginx's CPU at 1 MiB; 16 KiB is what HAProxy and Envoy read at a time.
            proxy_buffer_size 16k;
            proxy_buffers 8 16k;
            proxy_max_temp_file_size 0;   # nor would they write a download to a file
        }
    }
    # All the metrics nginx has: connections and requests, none per version.
    server { listen 127.0.0.1:%(admin_port)d; location /metrics { stub_status; } }
}
"""


def command(program: str, site: Site) -> list[str]:
    config = site.folder / "nginx.conf"
    v1, v2 = site.services
    access_log = f"{site.access_log} combined" if site.access_log else "off"
    config.write_text(
        CONFIG
        % {
            "folder": site.folder,
            "port": site.port,
            "admin_port": site.admin_port,
            "v1": v1,
            "v2": v2,
            "access_log": access_log,
        }
    )
    return [program, "-p", str(site.folder), "-e", "stderr", "-c", str(config)]


PEER = Peer("nginx", "apt-get install nginx-light", on_path("nginx"), first_line("-v"), command)
