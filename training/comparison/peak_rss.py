"""The most memory that this process has held."""

from __future__ import annotations

import resource
import sys


def peak_rss() -> int:
    """The peak resident set size of this process since its start, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # Linux counts in KiB
