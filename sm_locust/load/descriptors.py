"""Open files: a connection for each request in flight needs more of them than a process gets by default."""

from __future__ import annotations

import resource


def ask_for_descriptors(max_in_flight: int) -> str | None:
    """Raises the limit on open files to twice what may be in flight; says why not, in one sentence."""
    wanted = 2 * max_in_flight + 256
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return None
    try:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )
    except (OSError, ValueError) as e:
        return f"open files: the limit of {soft} could not be raised to {wanted} (2 × arrivals.max_in_flight): {e}"
    if hard != resource.RLIM_INFINITY and hard < wanted:
        return (
            f"open files: this process may have {hard} and {wanted} are wanted (2 × arrivals.max_in_flight): "
            f"raise the hard limit (ulimit -Hn) or lower arrivals.max_in_flight to {max(1, (hard - 256) // 2)}"
        )
    return None
