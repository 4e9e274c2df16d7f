"""How many files this process and its workers may open: each connection is one."""

from __future__ import annotations

import resource
from typing import Final

from proxy.errors import StartError

FILES_MIN: Final = 256
"""Some 40 stand open before the first client comes; below this there is no room for traffic worth the name."""
FILES_WANTED: Final = 1 << 20
"""A million connections: more than a worker carries. Some containers allow a billion, which helps nobody."""


def raise_file_limit() -> None:
    """Go to the hard limit: the soft one is 1,024 on most systems, for the sake of programs that use select().

    Raises StartError if even that is too low to serve.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(hard, FILES_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft != resource.RLIM_INFINITY and soft < FILES_MIN:
        raise StartError(f"only {soft} files may be opened (ulimit -n); at least {FILES_MIN} are needed")
