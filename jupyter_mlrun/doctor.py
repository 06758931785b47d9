"""``doctor``: whether this machine and session are fit for runs, each finding with its cure.

Reads the home's folder, ``/proc``, ``/etc/systemd/logind.conf`` and the environment; writes nothing.
"""

from __future__ import annotations

import getpass
import os
import platform
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_mlrun._version import __version__
from jupyter_mlrun.agent import client
from jupyter_mlrun.backends import local
from jupyter_mlrun.backends.warm import warm_words
from jupyter_mlrun.errors import JupyterMLRunError
from jupyter_mlrun.store.home import open_home
from jupyter_mlrun.ui.words import duration
from jupyter_mlrun.worker.segfile import can_map

if TYPE_CHECKING:
    from collections.abc import Iterator

INITS = {"systemd", "init", "tini", "dumb-init", "docker-init", "catatonit", "s6-svscan", "runit", "pause"}
SHARED = {"nfs", "nfs4", "cifs", "smb3", "lustre", "gpfs", "beegfs", "ceph", "9p", "afs"}
LITTLE_SPACE = 10**9
_CONFIGURED = ("usr/lib/systemd", "etc/systemd", "run/systemd")


@dataclass(frozen=True)
class Finding:
    """One line: ``level`` is ok, warn or fail."""

    what: str
    level: str
    text: str
    cure: str = ""

    def to_json(self) -> dict[str, str]:
        """For ``--json``."""
        return asdict(self)


def doctor(home: Path, *, root: Path = Path("/")) -> list[Finding]:
    """What matters to runs here.  *root*: where the machine's own files are."""
    machine = local.look()
    return [
        Finding("program", "ok", f"jupyter_mlrun {__version__}, Python {platform.python_version()}"),
        _of_home(home),
        _of_file_system(home, root),
        _of_agent(home),
        Finding("machine", "ok", f"{machine.describe()}; {machine.slots()} runs at once without a GPU"),
        *_of_session(home, root),
    ]


def _of_home(home: Path) -> Finding:
    if not home.exists():
        return Finding("home", "ok", f"{home} (made by the first run)")
    try:
        open_home(home, create=False)
    except JupyterMLRunError as problem:
        return Finding("home", "fail", problem.message, problem.hint or "")
    info = home.stat()
    if not os.access(home, os.W_OK):
        cure = "make it writable, or set JUPYTER_MLRUN_HOME to another folder"
        return Finding("home", "fail", f"{home} cannot be written", cure)
    if info.st_mode & 0o077:
        text = f"{home} can be read by others (mode {info.st_mode & 0o777:03o})"
        return Finding("home", "warn", text, f"chmod 700 '{home}'")
    free = shutil.disk_usage(home).free
    text = f"{home}, owner {_user()}, mode {info.st_mode & 0o777:03o}, {free / 1e9:.1f} GB free"
    if free < LITTLE_SPACE:
        return Finding("home", "warn", text, "free space: jupyter mlrun gc, jupyter mlrun du")
    return Finding("home", "ok", text)


def _of_file_system(home: Path, root: Path) -> Finding:
    folder = _existing(home)
    kind = file_system(folder, root / "proc/self/mountinfo")
    if can_map(str(folder)):
        return Finding("file system", "ok", f"{kind}: metrics are mapped into memory")
    text = f"{kind or 'unknown'}: metrics are appended, a little slower, since mapped files are not safe there"
    cure = "put JUPYTER_MLRUN_HOME on a disk of this machine if that matters" if kind in SHARED else ""
    return Finding("file system", "ok", text, cure)


def _existing(path: Path) -> Path:
    return next(one for one in (path, *path.parents) if one.exists())


def file_system(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """The type of the file system that *folder* is on; empty where that is not known."""
    place, kind = "", ""
    path = os.path.realpath(folder).rstrip("/") + "/"
    try:
        lines = mounts.read_bytes().splitlines()
    except OSError:
        return ""
    for line in lines:
        left, _, right = line.partition(b" - ")
        fields = left.split()
        if len(fields) < 5 or not right:
            continue
        point = os.fsdecode(fields[4].decode("unicode_escape").encode("latin-1")).rstrip("/") + "/"
        # of two mounts at one place the later hides the earlier
        if path.startswith(point) and len(point) >= len(place):
            place, kind = point, right.split()[0].decode()
    return kind


def _of_agent(home: Path) -> Finding:
    who = client.agent_of(home)
    if who is None:
        return Finding("agent", "ok", "none runs; it starts when it is needed")
    age = duration(time.time() - float(who["started"]))
    ready = warm_words(client.queue_of(home)["warm"])
    return Finding("agent", "ok", f"pid {who['pid']}, version {who['version']}, up for {age}; {ready}")


# ---- what ends runs together with the session ----------------------------------------------------------


def _of_session(home: Path, root: Path) -> Iterator[Finding]:
    job = os.environ.get("SLURM_JOB_ID")
    if job:
        text = f"inside Slurm job {job}: agent and runs end with it"
        yield Finding("session", "warn", text, "submit from a login node, or give the job time enough")
    if in_container(root):
        yield _of_container(root)
    if logind_kills(root):
        text = "systemd-logind ends every process of yours at log-out (KillUserProcesses=yes)"
        yield Finding("session", "warn", text, "once: loginctl enable-linger")
    if _is_below(home, Path(tempfile.gettempdir())) or file_system(_existing(home)) == "tmpfs":
        text = f"{home} is temporary: a restart, or whoever tidies up, deletes all runs"
        yield Finding("session", "warn", text, "set JUPYTER_MLRUN_HOME to a folder that lasts")


def in_container(root: Path = Path("/")) -> bool:
    """Whether this is a container."""
    return (root / ".dockerenv").exists() or (root / "run/.containerenv").exists()


def _of_container(root: Path) -> Finding:
    try:
        first = (root / "proc/1/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        first = "unknown"
    if first in INITS:
        return Finding("session", "ok", f"inside a container with {first} as its first process; runs end with it")
    text = f"inside a container whose first process ({first}) is no init: when it ends, every run ends"
    return Finding("session", "warn", text, "start it with an init (docker run --init), and keep it running")


def logind_kills(root: Path = Path("/")) -> bool:
    """Whether systemd-logind is set to end this user's processes at log-out."""
    if (root / "var/lib/systemd/linger" / _user()).exists():
        return False
    kills = False
    drop_ins = {p.name: p for base in _CONFIGURED for p in (root / base / "logind.conf.d").glob("*.conf")}
    mains = [root / base / "logind.conf" for base in _CONFIGURED]
    for path in [*mains, *(drop_ins[name] for name in sorted(drop_ins))]:
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            key, _, value = line.partition("=")
            if key.strip() == "KillUserProcesses":
                kills = value.strip().lower() in {"yes", "true", "1", "on", "y", "t"}
    return kills


def _is_below(path: Path, folder: Path) -> bool:
    return os.path.realpath(path).startswith(os.path.realpath(folder) + os.sep)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a uid without a name, as in containers
        return str(os.getuid())
