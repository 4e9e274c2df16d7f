"""Grayhound: a layer-7 reverse proxy for gray releases, blue/green deployments and A/B tests.

The map of the house. A module imports its own floor or a lower one; `tests/test_architecture.py` holds this.

    5  run/  cli  __main__                  the roof: puts all together, owns processes and signals
    4  rollout/  admin/                     control plane: reads the counters, edits the rule file
    3  gateway/                             where downstream meets upstream
    2  downstream/  upstream/  sources/  imports/  observe/     doors: sockets, files, manifests, Prometheus
    1  http/  rules/  upstream/{balance,health}       pure: no socket, clock, dice, file or task
    0  data  errors  settings  tasks  pem  http/message  rules/model     words

Glossary: the same words in YAML, code, metrics, logs and dashboard.

    service      what clients ask for; it has versions
    version      old, new, ...: a named set of equal endpoints of a service
    endpoint     one address of a version, with live state
    stable       the old version of a service
    route        a host and path scope that leads to one service
    mirror       a version that is sent copies of requests; nobody waits for its answers
    shadow       one such copy on its way
    rule         a match, and then a version or a split
    match        the condition of a rule
    condition    a test on a request, or several joined by any, all, not
    split        shares of traffic between versions, by weight
    redirect     the client is told to ask elsewhere; respond: the proxy itself answers
    rewrite      what a service is asked for instead of what the client asked
    edits        what rules change of a head, made ready
    sticky       one person stays on one version
    pin          the version a person stays on, in a signed cookie
    bucket       one of 10,000 equal parts of all people
    decision     what the rules say of one request: route, rule, version, reason
    downstream   the clients' side; upstream: the services' side
    listener     an address where clients connect
    exchange     one request and its response passing through
    tunnel       bytes both ways after an upgrade
    pool         the open connections to one endpoint
    snapshot     what one reload made; immutable
    generation   its number
    eject        take an endpoint out for a while; return: take it back
    rollout      a split's weights moved from an old version to a new one, by the proxy itself
    step         one weight of a rollout, and how long it stays
    gate         what must be true of the new version for a rollout to go on
    drain        let what is under way end, take nothing new
"""

__version__ = "0.1.0"
