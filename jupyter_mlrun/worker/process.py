"""Who a process is, whether it still lives, which others came from it, and how to end them all.

Reads ``/proc``.  A process is (host, boot, pid, start time): a pid alone is given out again.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from typing import Any, Callable, Dict, Iterable, List, Optional, Set, Tuple

RUN_ID = "JUPYTER_MLRUN_RUN_ID"
AGENT_MARK = "JUPYTER_MLRUN_AGENT"
_DEAD_STATES = frozenset("ZXx")


def boot_id() -> str:
    """The kernel's id of this boot; empty where there is none (not Linux)."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def host_id() -> str:
    """12 hex digits for this machine *and* pid namespace: pids mean nothing elsewhere."""
    parts = [os.uname().nodename]
    try:
        with open("/etc/machine-id", encoding="ascii", errors="replace") as file:
            parts.append(file.read().strip())
    except OSError:
        parts.append("")
    try:
        parts.append(os.readlink("/proc/self/ns/pid"))
    except OSError:
        parts.append("")
    return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()[:12]


def _stat(pid: int) -> Optional[Tuple[str, int, int]]:
    """(state, parent's pid, start time in clock ticks) of a process, or None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # the name in parentheses may hold anything, so fields are counted from its end
    fields = text[text.rindex(b")") + 2 :].split()
    return fields[0].decode("ascii"), int(fields[1]), int(fields[19])


def identity(pid: Optional[int] = None) -> Dict[str, Any]:
    """What tells this process from every other one, as JSON."""
    pid = os.getpid() if pid is None else pid
    stat = _stat(pid)
    return {"pid": pid, "start": stat[2] if stat else None, "boot": boot_id(), "host": host_id()}


def is_alive(who: Dict[str, Any]) -> bool:
    """Whether that very process still runs here; zombies are dead."""
    stat = _stat(int(who["pid"]))
    return (
        stat is not None
        and stat[0] not in _DEAD_STATES
        and stat[2] == who["start"]
        and who["boot"] == boot_id()
        and who["host"] == host_id()
    )


def is_busy(pid: int) -> bool:
    """Whether a process is at work, or would be if it had a core: it does not sleep, and nobody has stopped it."""
    stat = _stat(pid)
    return stat is not None and stat[0] in "RD"


def parent_of(pid: int) -> Optional[int]:
    """The parent of a process, be it a zombie; None when it is gone."""
    stat = _stat(pid)
    return stat[1] if stat else None


class Patience:
    """So many seconds between looks; of a pause in which the machine, or this process, stood still one is counted."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds
        self._last = time.monotonic()

    def over(self) -> bool:
        """Whether they have passed."""
        now = time.monotonic()
        self.left -= min(now - self._last, 1.0)
        self._last = now
        return self.left <= 0


def send(who: Dict[str, Any], number: int) -> bool:
    """Signal that very process; False when it is gone (its pid may be somebody else's by now)."""
    if not is_alive(who):
        return False
    try:
        os.kill(int(who["pid"]), number)
    except ProcessLookupError:
        return False
    return True


def _all_parents() -> Dict[int, int]:
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            stat = _stat(int(name))
            if stat is not None and stat[0] not in _DEAD_STATES:
                found[int(name)] = stat[1]
    return found


def _environment(pid: int) -> Dict[bytes, bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            pairs = file.read().split(b"\0")
    except OSError:  # another user's, or gone
        return {}
    return dict(pair.split(b"=", 1) for pair in pairs if b"=" in pair)


def members(run_id: str, roots: Iterable[int]) -> Set[int]:
    """Every living process of a run: what came from *roots*, and what carries the run's mark.

    The mark finds those that left the tree (double fork, setsid).  An agent that a run started, and
    runs that it submitted, are not its members.
    """
    parents = _all_parents()
    children: Dict[int, List[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    key, mark, agent = RUN_ID.encode(), run_id.encode(), AGENT_MARK.encode()
    me = os.getpid()
    found: Set[int] = set()
    queue = [pid for pid in roots if pid in parents]
    queue.extend(pid for pid in parents if pid != me and _environment(pid).get(key) == mark)
    while queue:
        pid = queue.pop()
        if pid in found or pid == me:
            continue
        env = _environment(pid)
        if agent in env or env.get(key, mark) != mark:
            continue
        found.add(pid)
        queue.extend(children.get(pid, ()))
    return found


def children_of(pid: int) -> Set[int]:
    """The living direct children of a process."""
    return {child for child, parent in _all_parents().items() if parent == pid}


def descendants(roots: Iterable[int]) -> Set[int]:
    """These living processes and all that came from them, but no agent that one of them started, and nothing of its.

    Quicker than ``members``; it does not find who left the tree before this process became a subreaper.
    """
    parents = None if _HAS_CHILDREN else _all_parents()
    below: Dict[int, List[int]] = {}
    for pid, parent in (parents or {}).items():
        below.setdefault(parent, []).append(pid)
    agent = AGENT_MARK.encode()
    found: Set[int] = set()
    queue = list(roots)
    while queue:
        pid = queue.pop()
        if pid not in found:
            found.add(pid)
            children = below.get(pid, []) if parents is not None else _children(pid)
            queue += [child for child in children if agent not in _environment(child)]
    return found


def _children(pid: int) -> List[int]:
    found: List[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:  # it ended meanwhile
        return found
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
        except OSError:  # as above
            continue
    return found


_HAS_CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")  # not every kernel is built with it


def signal_all(pids: Iterable[int], number: int) -> None:
    """Send one signal to each; those that are gone already are no error."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def end_tree(find: Callable[[], Set[int]], grace: float, *, first: int = signal.SIGTERM) -> int:
    """End every process that *find* finds: *first*, *grace* seconds, then SIGKILL until none is left.

    Returns how many had to be signalled.  A process in uninterruptible sleep is waited for 30 s.
    """
    living = find()
    count = len(living)
    if not living:
        return 0
    signal_all(living, first)
    signal_all(living, signal.SIGCONT)  # a stopped process cannot obey
    patience = Patience(grace)
    while living and not patience.over():
        time.sleep(0.02)
        reap()
        living = find()
    last = time.monotonic() + 30
    while living and time.monotonic() < last:
        signal_all(living, signal.SIGKILL)
        time.sleep(0.01)
        reap()
        living = find()
    return count


_reaped: Dict[int, Tuple[int, Any]] = {}


def reap() -> Dict[int, Tuple[int, Any]]:
    """Collect every child that ended: {pid: (wait status, resource usage)} of all so far."""
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return _reaped
        if pid == 0:
            return _reaped
        _reaped[pid] = (status, usage)


def become_subreaper() -> bool:
    """Orphans below this process become its children (Linux's PR_SET_CHILD_SUBREAPER)."""
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    return bool(ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0) == 0)


def memory_of(pids: Iterable[int]) -> int:
    """Resident bytes of these processes together."""
    page = os.sysconf("SC_PAGE_SIZE")
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/statm", "rb") as file:
                total += int(file.read().split()[1]) * page
        except (OSError, IndexError):
            continue
    return total


def oom_kills() -> Optional[int]:
    """How many processes of our control group the kernel killed for memory; None where it does not say."""
    for path in _memory_files("memory.events", "memory.oom_control"):
        try:
            with open(path, encoding="ascii") as file:
                pairs = dict(line.split()[:2] for line in file if len(line.split()) >= 2)
        except OSError:
            continue
        if "oom_kill" in pairs:
            return int(pairs["oom_kill"])
    return None


def _memory_files(v2: str, v1: str) -> List[str]:
    """Where the kernel keeps the memory figures of our own control group (version 2, then 1)."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            lines = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return []
    found = []
    for number, controllers, path in (line for line in lines if len(line) == 3):
        if number == "0" and not controllers:
            found.append(f"/sys/fs/cgroup{path}/{v2}")
        elif "memory" in controllers.split(","):
            found.append(f"/sys/fs/cgroup/memory{path}/{v1}")
    return found
