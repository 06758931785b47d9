"""How many cores and how much memory this process may use: of the machine, its affinity and its control groups.

Reads ``/proc`` and ``/sys/fs/cgroup`` (versions 1 and 2); writes nothing.
"""

from __future__ import annotations

import os
from typing import Iterator, List, Optional, Tuple

_NO_LIMIT = 1 << 60  # version 1 writes a huge number where there is no limit


def cores(root: str = "/") -> int:
    """Whole CPU cores that may be used, at least 1: a quota of 2.5 cores is 2."""
    try:
        found = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        found = os.cpu_count() or 1
    for folder in groups("cpu", root):
        quota = _quota(folder)
        if quota is not None:
            found = min(found, int(quota))
    return max(1, found)


def _quota(folder: str) -> Optional[float]:
    """Cores that one control group allows; None where it sets no limit."""
    text = _read(f"{folder}/cpu.max")
    if text is None:
        parts = [_read(f"{folder}/cpu.cfs_quota_us"), _read(f"{folder}/cpu.cfs_period_us")]
    else:
        parts = [*text.split()]
    if len(parts) != 2 or not all(part and part.isdigit() and int(part) for part in parts):
        return None
    return int(parts[0] or 0) / int(parts[1] or 1)


def memory(root: str = "/") -> int:
    """Bytes of memory that may be used: the machine's, or less where a control group says so."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for folder in groups("memory", root):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _read(f"{folder}/{name}")
            if text is not None and text.isdigit() and 0 < int(text) < _NO_LIMIT:
                found = min(found, int(text))
    return found


def groups(controller: str, root: str = "/") -> Iterator[str]:
    """The folders of this process' control groups that may limit it, from its own up to the topmost.

    In a container the path may be the host's, of which only the top is mounted: what is not there limits nothing.
    """
    for base, path in _mounted(controller, root):
        parts = [part for part in path.split("/") if part]
        for depth in range(len(parts), -1, -1):
            folder = os.path.join(base, *parts[:depth])
            if os.path.isdir(folder):
                yield folder


def _mounted(controller: str, root: str) -> List[Tuple[str, str]]:
    text = _read(os.path.join(root, "proc/self/cgroup")) or ""
    top = os.path.join(root, "sys/fs/cgroup")
    found = []
    for line in text.splitlines():
        number, names, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not names:
            found += [(top, path), (f"{top}/unified", path)]
        elif controller in names.split(","):
            found += [(f"{top}/{names}", path), (f"{top}/{controller}", path)]
    return found


def _read(path: str) -> Optional[str]:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except (OSError, ValueError):
        return None
