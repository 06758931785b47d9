"""Looking after a home: what it holds, what is wrong with it, what can go, and whether the surroundings are fit.

Reads everything; ``gc`` deletes, ``repair`` rebuilds what can be rebuilt.  Functions return data; the CLI draws it.
"""

from __future__ import annotations

import os
import platform
import shutil
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mlrun._version import __version__
from jupyter_mlrun.agent import client
from jupyter_mlrun.backends import local
from jupyter_mlrun.errors import Conflict, JupyterMLRunError
from jupyter_mlrun.records import RunState, after
from jupyter_mlrun.states import Status, may_move
from jupyter_mlrun.store import index, runs, snapshot
from jupyter_mlrun.store.home import WorkspaceDir, workspaces
from jupyter_mlrun.store.packs import ObjectStore
from jupyter_mlrun.store.series import summary_of
from jupyter_mlrun.worker.segment import can_map

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_mlrun.rundir import RunDir

DAY = 86400.0


def size_of(path: Path) -> int:
    """Bytes on the disk below *path*; a file with two names counts once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for folder, _, names in os.walk(path):
        for name in (*names, "."):
            try:
                info = os.lstat(os.path.join(folder, name))
            except FileNotFoundError:
                continue
            if (info.st_dev, info.st_ino) not in seen:
                seen.add((info.st_dev, info.st_ino))
                total += info.st_blocks * 512
    return total


def du(home: Path) -> list[dict[str, Any]]:
    """Bytes of each experiment and content store, largest first."""
    found = []
    for place in workspaces(home):
        for folder in runs.experiment_folders(place):
            count = sum(1 for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False))
            found.append({"workspace": place.name, "what": folder.name, "runs": count, "bytes": size_of(folder)})
        for name, path in (("(snapshots)", place.objects), ("(trash)", place.trash), ("(index)", place.index)):
            size = size_of(path) if path.is_dir() else path.stat().st_size if path.exists() else 0
            found.append({"workspace": place.name, "what": name, "runs": None, "bytes": size})
    return sorted(found, key=lambda one: -one["bytes"])


# ---- what is wrong -------------------------------------------------------------------------------------


def problems(home: Path) -> list[str]:
    """Everything that is not as it should be, in words; changes nothing."""
    found: list[str] = []
    for place in workspaces(home):
        store = ObjectStore(place.objects)
        manifests = set(snapshot.list_manifests(store))
        for run in runs.run_dirs(place):
            found += _problems_of_run(run, manifests)
        found += _problems_of_snapshots(store)
        found += store.verify()
        found += _problems_of_index(place)
        found += [f"{path} was left over by a submit that was killed (gc removes it)" for path in _stale_tmp(place)]
    return found


def _problems_of_run(run: RunDir, manifests: set[str]) -> Iterator[str]:
    try:
        spec = runs.read_spec(run)
    except (OSError, ValueError, KeyError, TypeError, JupyterMLRunError) as problem:
        yield f"{run.spec} cannot be read: {problem}"
        return
    if spec.snapshot and spec.snapshot["id"] not in manifests:
        yield f"run {spec.run_id} needs snapshot {spec.snapshot['id'][:12]}, which is gone"
    lines = run.events.read_bytes().split(b"\n") if run.events.exists() else []
    events = list(runs.events(run))
    if sum(1 for line in lines if line.strip()) > len(events):
        yield f"{run.events} has lines that cannot be read (passed over)"
    state = RunState()
    for event in events:
        if event["type"] == "status":
            to = Status(event["status"])
            if not may_move(state.status, to, guessed=state.reason is not None and state.reason.guess):
                yield f"{run.events}: went from {state.status} to {to}"
        state = after(state, event)
    if not events:
        yield f"{run.events} has no events"


def _problems_of_snapshots(store: ObjectStore) -> Iterator[str]:
    if not store.manifests.is_dir():
        return
    try:
        there = store.reader().places
    except JupyterMLRunError:
        return  # verify names the damaged index
    for manifest_id in snapshot.list_manifests(store):
        try:
            manifest = snapshot.read_manifest(store, manifest_id)
        except (ValueError, KeyError, TypeError) as problem:
            yield f"snapshot {manifest_id[:12]} cannot be read: {problem}"
            continue
        missing = [digest for digest in manifest.digests() if bytes.fromhex(digest) not in there]
        if missing:
            yield f"snapshot {manifest_id[:12]} lacks {len(missing)} objects, the first {missing[0][:12]}"


def _problems_of_index(place: WorkspaceDir) -> Iterator[str]:
    there = {str(run.path) for run in runs.run_dirs(place) if run.spec.exists()}
    known = index.indexed_paths(place)
    if known is None:
        if there:
            yield f"{place.index} is missing or damaged: jupyter mlrun fsck --rebuild"
    elif known - there:
        yield f"{place.index} has {len(known - there)} runs that are gone"


def repair(home: Path) -> dict[str, int]:
    """Rebuild every index and index what killed writers left; ``{"runs": …, "packs": …}``."""
    client.stop_agent(home)
    done = {"runs": 0, "packs": 0}
    for place in workspaces(home):
        done["packs"] += ObjectStore(place.objects).recover()
        if place.index.is_dir() and not place.index.is_symlink():
            place.index.rename(place.index.with_name(f"index.damaged.{int(time.time())}"))
        done["runs"] += index.rebuild(place, summary_of)
    if any(not state.is_over for state in _states(home)):
        client.ensure_agent(home)
    return done


def _states(home: Path) -> Iterator[RunState]:
    for place in workspaces(home):
        for run in runs.run_dirs(place):
            loaded = runs.load(run)
            if loaded is not None:
                yield loaded[1]


# ---- what can go ---------------------------------------------------------------------------------------


def _stale_tmp(place: WorkspaceDir) -> list[Path]:
    """Run directories that were being made by processes that are gone."""
    found = []
    for path in place.tmp.glob("*") if place.tmp.is_dir() else ():
        pid = path.name.rpartition(".")[2]
        alive = pid.isdigit() and Path(f"/proc/{pid}").exists()
        if not alive or time.time() - path.stat().st_mtime > DAY:
            found.append(path)
    return found


def gc(home: Path, *, dry_run: bool = False, grace: float = DAY) -> dict[str, int]:
    """Delete what nothing needs; ``{"folders", "packs", "bytes"}``.  Live runs and submits under way are safe."""
    done = {"folders": 0, "packs": 0, "bytes": 0}
    for place in workspaces(home):
        going = [*_stale_tmp(place), *(place.trash.glob("*") if place.trash.is_dir() else ())]
        live: set[str] = set()
        store = ObjectStore(place.objects)
        for run in runs.run_dirs(place):
            loaded = runs.load(run)
            if loaded is None:
                raise Conflict(f"{run.path} cannot be read, so what it needs is not known", hint="jupyter mlrun fsck")
            if loaded[1].is_over and run.work.exists():
                going.append(run.work)
            if loaded[0].snapshot:
                live.add(str(loaded[0].snapshot["id"]))
        done["folders"] += len(going)
        done["bytes"] += sum(size_of(path) for path in going)
        if dry_run:
            continue
        for path in going:
            shutil.rmtree(path, ignore_errors=True)
        for key, value in _collect_objects(store, live, grace).items():
            done[key] += value
    return done


def _collect_objects(store: ObjectStore, live: set[str], grace: float) -> dict[str, int]:
    """Manifests of runs, and young ones whose run may be about to exist, keep their objects."""
    needed: set[str] = set()
    old = []
    for manifest_id in snapshot.list_manifests(store):
        path = store.manifests / f"{manifest_id}.json"
        if manifest_id in live or time.time() - path.stat().st_mtime < grace:
            needed.update(snapshot.read_manifest(store, manifest_id).digests())
        else:
            old.append(path)
    for path in old:
        # the manifest first: objects without one are garbage, a manifest without objects would be damage
        path.unlink()
    return store.gc(needed, grace=grace)


# ---- whether the surroundings are fit --------------------------------------------------------------------


@dataclass
class Finding:
    """One line of ``doctor``: ``level`` is ok, warn or fail."""

    what: str
    level: str
    text: str
    cure: str = field(default="")

    def to_json(self) -> dict[str, str]:
        """For ``--json``."""
        return asdict(self)


def doctor(home: Path) -> list[Finding]:
    """What matters to runs here, each with its cure."""
    machine = local.look()
    found = [
        Finding("program", "ok", f"jupyter_mlrun {__version__}, Python {platform.python_version()}"),
        _home_finding(home),
        _agent_finding(home),
        Finding("machine", "ok", f"{machine.describe()}; {machine.slots()} runs at once without a GPU"),
    ]
    mapped = can_map(str(home if home.exists() else home.parent))
    text = "metrics are memory-mapped" if mapped else "metrics are appended: its file system is not known to map safely"
    found.append(Finding("file system", "ok" if mapped else "warn", text))
    return [*found, *_session_findings()]


def _home_finding(home: Path) -> Finding:
    if not home.exists():
        return Finding("home", "ok", f"{home} (not made yet)")
    info = home.stat()
    if info.st_uid != os.getuid():
        return Finding("home", "fail", f"{home} belongs to another user", "set JUPYTER_MLRUN_HOME to a folder of yours")
    if info.st_mode & 0o077:
        return Finding("home", "warn", f"{home} can be read by others", f"chmod 700 '{home}'")
    if not os.access(home, os.W_OK):
        return Finding("home", "fail", f"{home} cannot be written", "free it, or set JUPYTER_MLRUN_HOME")
    free = shutil.disk_usage(home).free
    level = "warn" if free < 10**9 else "ok"
    return Finding("home", level, f"{home}, {free / 1e9:.1f} GB free", "jupyter mlrun gc" if level == "warn" else "")


def _agent_finding(home: Path) -> Finding:
    who = client.agent_of(home)
    if who is None:
        return Finding("agent", "ok", "none runs; it starts with the next submit")
    age = time.time() - float(who["started"])
    return Finding("agent", "ok", f"pid {who['pid']}, version {who['version']}, up for {age / 60:.0f} min")


def _session_findings() -> Iterator[Finding]:
    """What will end runs together with the session that submits them."""
    if os.environ.get("SLURM_JOB_ID"):
        yield Finding(
            "session", "warn", f"inside Slurm job {os.environ['SLURM_JOB_ID']}: runs end with it",
            "submit from the login node, or give the job enough time",
        )  # fmt: skip
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        yield Finding("session", "warn", "inside a container: runs end when it stops", "keep the container running")
    if _logind_kills():
        yield Finding(
            "session", "warn", "systemd-logind ends all processes at log-out (KillUserProcesses=yes)",
            "loginctl enable-linger, once",
        )  # fmt: skip


def _logind_kills() -> bool:
    kills = False
    for path in (Path("/etc/systemd/logind.conf"), *sorted(Path("/etc/systemd/logind.conf.d").glob("*.conf"))):
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            key, _, value = line.partition("=")
            if key.strip() == "KillUserProcesses":
                kills = value.strip().lower() in ("yes", "true", "1", "on")
    return kills and not Path(f"/var/lib/systemd/linger/{os.environ.get('USER', '')}").exists()
