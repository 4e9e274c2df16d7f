"""Caddy: named matchers for the matches, a repeated address for the weights."""

from __future__ import annotations

from benchmarks.peers.base import Peer, Site, first_line, on_path

CONFIG = """
{
	admin 127.0.0.1:%(admin_port)d
	auto_https off
	servers {
		metrics
	}
}

(onward) {
	# X-Forwarded-For, -Proto and -Host are Caddy's own doing.
	header_up X-Request-Id {http.request.uuid}
	transport http {
		keepalive_idle_conns_per_host 128   # the default of 32 would close and reopen connections
		compression off                     # adds no Accept-Encoding of its own
	}
}

%(scheme)s://:%(port)d {
	bind 127.0.0.1
	%(tls)s
	%(log)s
	@header header foo bar
	@cookie header_regexp Cookie (^|;\\s*)foo=bar(;|$)    # Caddy has no cookie matcher
	@query query foo=bar

	handle @header {
		reverse_proxy 127.0.0.1:%(v2)d {
			import onward
		}
	}
	handle @cookie {
		reverse_proxy 127.0.0.1:%(v2)d {
			import onward
		}
	}
	handle @query {
		reverse_proxy 127.0.0.1:%(v2)d {
			import onward
		}
	}
	handle {
		# Old releases of Caddy have no weights: an address that stands four times among five gets 80 %%.
		reverse_proxy 127.0.0.1:%(v1)d 127.0.0.1:%(v1)d 127.0.0.1:%(v1)d 127.0.0.1:%(v1)d 127.0.0.1:%(v2)d {
			lb_policy random
			import onward
		}
	}
}
"""


def command(program: str, site: Site) -> list[str]:
    config = site.folder / "Caddyfile"
    v1, v2 = site.services
    log = f"log {{\n\t\toutput file {site.access_log}\n\t}}" if site.access_log else ""
    pair = f"tls {site.folder}/shop.pem {site.folder}/shop.key" if site.setup.tls else ""
    values = {"port": site.port, "admin_port": site.admin_port, "v1": v1, "v2": v2, "scheme": site.scheme}
    config.write_text(CONFIG % (values | {"log": log, "tls": pair}))
    # GOMAXPROCS: one thread runs Go code, as one worker does elsewhere; HOME: Caddy wants a folder it may write to.
    folders = [f"{name}={site.folder}" for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")]
    return ["env", "GOMAXPROCS=1", *folders, program, "run", "--adapter", "caddyfile", "--config", str(config)]


PEER = Peer(
    "caddy",
    "apt-get install caddy",
    on_path("caddy"),
    first_line("version"),
    command,
    features=frozenset({"access_log", "tls", "websocket"}),
    every=3,
)
