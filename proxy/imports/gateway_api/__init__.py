"""HTTPRoute objects of Gateway API -> routes that decide as the API lays down.

The API looks for the best match among all rules of all routes: the narrowest host, an exact path, the longest prefix,
then what `matches.Match.rank` orders. A rule file chooses host and path first and then goes through rules in order; so
each host and path becomes a route whose rules are the matches of that path, best first, and `otherwise: next` goes on
to the next best path and host. Regular expressions, whose place the API leaves open, come between exact paths and
prefixes, the longest first, as with gateways on Envoy: each prefix of the host begins with them.

    objects ─▶ gateways: hosts ─▶ matches ─▶ order: scopes ─▶ write: routes and services
                                    outcome, filters, backends: what becomes of a rule's requests ─┘
"""
