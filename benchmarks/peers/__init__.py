"""The proxies compared, one module each: the same canary rules, set up as its own manual would.

The rules, in this order: header `foo: bar`, cookie `foo=bar`, query `foo=bar` go to v2; of the rest 20 % goes to v2.

Common to all, so that the work is the same: one worker on one core; connections to the services kept alive, as many as
the load has; bodies streamed both ways; X-Forwarded-For, -Proto, -Host and a fresh X-Request-Id added; no access log
(unless the case asks for it); whatever metrics the proxy has built in switched on. Each choice that is not the default
has its reason beside it.
"""

from __future__ import annotations

from benchmarks.peers import aiohttp, caddy, envoy, grayhound, haproxy, nginx
from benchmarks.peers.base import Peer

# nginx first: the ratios are to it. Grayhound next: what disturbs the machine for seconds then meets both.
PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (nginx.PEER, grayhound.PEER, grayhound.SOURCE, haproxy.PEER, envoy.PEER, caddy.PEER, aiohttp.PEER)
}
