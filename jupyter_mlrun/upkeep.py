"""Looking after a home: what takes how much space, what can go, and what can be made anew.

Reads everything below the home; ``gc`` deletes what nothing needs, ``repair`` rebuilds indexes.  Functions return
data; the command line draws it.
"""

from __future__ import annotations

import errno
import fcntl
import heapq
import operator
import os
import shutil
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.agent import client
from jupyter_mlrun.check import check, leftovers, unfinished
from jupyter_mlrun.doctor import Finding, doctor
from jupyter_mlrun.errors import AgentError, JupyterMLRunError, StoreError
from jupyter_mlrun.rundir import FILE_MODE, read_json_if_there, remove_if_there
from jupyter_mlrun.store import holders, index, runs, snapshot
from jupyter_mlrun.store.home import WorkspaceDir, open_home, workspaces
from jupyter_mlrun.store.packs import ObjectStore
from jupyter_mlrun.store.series import summary_of
from jupyter_mlrun.worker import mounts, process
from jupyter_mlrun.worker.unpack import read_index

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jupyter_mlrun.rundir import RunDir

__all__ = ["Finding", "doctor", "du", "gc", "largest_runs", "problems", "repair", "size_of"]

DAY = 86400.0
TREE_DAYS = 7  # how long a tree that no run asked for is kept: it can be made anew
LOCK_SECONDS = 10.0


# ---- space ---------------------------------------------------------------------------------------------


def size_of(path: Path) -> int:
    """Bytes on the disk of *path* and everything below; a file with two names counts once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for folder, _, names in os.walk(path):
        for name in (*names, "."):
            try:
                info = os.lstat(os.path.join(folder, name))
            except OSError as problem:
                # gone meanwhile, or deeper than a path can say: that little is not counted
                if problem.errno not in (errno.ENOENT, errno.ENAMETOOLONG):
                    raise
                continue
            if (info.st_dev, info.st_ino) not in seen:
                seen.add((info.st_dev, info.st_ino))
                total += info.st_blocks * 512
    if not seen and os.path.lexists(path):
        return os.lstat(path).st_blocks * 512
    return total


def du(home: Path) -> list[dict[str, Any]]:
    """Bytes of each experiment and of what workspaces hold beside runs, largest first."""
    open_home(home, create=False)
    found = []
    for place in workspaces(home):
        for folder in runs.experiment_folders(place):
            count = sum(1 for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False))
            found.append(_line(place, folder.name, size_of(folder), count))
        parts = {"content": place.objects, "inputs": place.trees, "trash": place.trash, "tmp": place.tmp}
        for name, path in parts.items():
            found.append(_line(place, f"({name})", size_of(path)))
        found.append(_line(place, "(index)", sum(size_of(path) for path in place.path.glob("index.*"))))
    return sorted(found, key=lambda one: -int(one["bytes"]))


def largest_runs(home: Path, count: int = 10) -> list[dict[str, Any]]:
    """The runs that take most, largest first."""
    sized = ((size_of(run.path), place, run) for place in workspaces(home) for run in runs.run_dirs(place))
    found = heapq.nlargest(count, sized, key=operator.itemgetter(0))
    return [_line(place, run.path.name, taken) for taken, place, run in found]


def _line(place: WorkspaceDir, what: str, taken: int, count: int | None = None) -> dict[str, Any]:
    return {"workspace": place.name, "what": what, "runs": count, "bytes": taken}


def problems(home: Path) -> list[str]:
    """What ``fsck`` found that does harm, in words."""
    return [str(one) for one in check(home) if one.level == "fail"]


# ---- what can go ---------------------------------------------------------------------------------------


def gc(home: Path, *, dry_run: bool = False, grace: float = DAY, now: float | None = None) -> dict[str, Any]:
    """Delete what nothing needs; ``{"folders", "files", "packs", "bytes", "kept": why something had to stay}``.

    Live runs and submits under way are safe, also when this is killed anywhere: what goes is out of use before
    its first byte is deleted, and the next call goes on.
    """
    open_home(home, create=False)
    now = time.time() if now is None else now
    done: dict[str, Any] = {"folders": 0, "files": 0, "packs": 0, "bytes": 0, "kept": []}
    for path in list(unfinished(home, now)):
        done["files"] += 1
        done["bytes"] += size_of(path)
        if not dry_run:
            remove_if_there(path)
    for place in workspaces(home):
        for path in _folders_to_go(place, now):
            done["folders"] += 1
            done["bytes"] += size_of(path)
            if not dry_run:
                _remove(place, path)
        try:
            for path in list(_trees_to_go(place, now)):
                taken = size_of(path)
                if dry_run or mounts.remove_unused(str(path)):
                    done["folders"] += 1
                    done["bytes"] += taken
            freed = _collect_objects(place, grace, now, dry_run=dry_run)
        except (OSError, ValueError, KeyError, TypeError, JupyterMLRunError) as problem:
            # what cannot be read may need anything: nothing that it could need goes
            message = problem.message if isinstance(problem, JupyterMLRunError) else repr(problem)
            done["kept"].append(f"inputs or snapshots of workspace {place.name}: {message}")
            continue
        for key, value in freed.items():
            done[key] += value
    return done


def _remove(place: WorkspaceDir, path: Path) -> None:
    """Delete a folder: a working copy leaves its run whole or not at all."""
    try:
        if path.parent != place.trash:
            away = place.trash / f"{path.parent.name}.{path.name}.{time.time_ns()}"
            os.rename(path, away)
            path = away
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    except FileNotFoundError:
        return  # another gc was here first
    except OSError as problem:
        raise StoreError(f"{path} cannot be removed: {problem.strerror or problem}") from problem


def _folders_to_go(place: WorkspaceDir, now: float) -> Iterator[Path]:
    yield from sorted(place.trash.iterdir()) if place.trash.is_dir() else ()
    yield from leftovers(place, now)
    for run in runs.run_dirs(place):
        if run.work.is_dir() and _has_ended(run):
            yield run.work


def _trees_to_go(place: WorkspaceDir, now: float) -> Iterator[Path]:
    """Inputs of runs that were not asked for in a while, that a run wrote into, or that were never finished."""
    used = _trees_in_use(place)
    for tree in mounts.listing(str(place.trees)):
        old = now - tree["used"] > (TREE_DAYS if tree["whole"] else 1) * DAY
        if (tree["harmed"] or old) and tree["name"] not in used:
            yield place.trees / tree["name"]


def _trees_in_use(place: WorkspaceDir) -> set[str]:
    """The inputs of runs that go on: nobody holds them between the end of one worker and the next."""
    found = set()
    for run in runs.run_dirs(place):
        if run.input_paths.exists() and not _has_ended(run):
            record = read_json_if_there(run.input_paths) or {"inputs": {}}
            found |= {os.path.basename(one["tree"]) for one in record["inputs"].values() if one["tree"]}
    return found


def _has_ended(run: RunDir) -> bool:
    """Whether the run is over beyond doubt, with nobody left who may still use its working copy."""
    loaded = runs.load(run)
    if loaded is None or not loaded[1].is_over or (loaded[1].reason and loaded[1].reason.guess):
        return False
    for path in (*run.path.glob("worker-*.json"), *run.path.glob("rank-*.json")):
        try:
            who = read_json_if_there(path)
        except ValueError:
            return False
        if who and "start" in who and process.is_alive(who):
            return False
    return True


def _collect_objects(place: WorkspaceDir, grace: float, now: float, *, dry_run: bool) -> dict[str, int]:
    store = ObjectStore(place.objects)
    if not store.packs.is_dir():
        return {}
    old = _old_manifests(place, store, grace, now)
    if dry_run:
        return _would_collect(store, set(snapshot.list_manifests(store)) - set(old), grace, now)
    for manifest_id in old:
        _retire(place, store, manifest_id, grace, now)
    return store.gc(lambda: _needed(store, snapshot.list_manifests(store)), grace=grace, now=now)


def _old_manifests(place: WorkspaceDir, store: ObjectStore, grace: float, now: float) -> list[str]:
    """Manifests that nothing has, and nothing will: who makes one that is there already touches it."""
    listed = snapshot.list_manifests(store)  # first: one that comes meanwhile is not listed
    used = {manifest for manifest, _ in holders.all_of(place)}
    return [m for m in listed if m not in used and now - _age_mark(store.manifests / f"{m}.json", now) > grace]


def _age_mark(path: Path, now: float) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return now


def _retire(place: WorkspaceDir, store: ObjectStore, manifest_id: str, grace: float, now: float) -> None:
    """Take a manifest away, unless a submit chose it meanwhile: objects follow only when it is gone."""
    path = store.manifests / f"{manifest_id}.json"
    away = place.trash / f"{manifest_id}.json.{time.time_ns()}"
    try:
        os.rename(path, away)
    except FileNotFoundError:
        return
    if now - away.stat().st_mtime <= grace:
        os.rename(away, path)
    else:
        away.unlink()


def _needed(store: ObjectStore, manifests: Any) -> set[str]:
    found: set[str] = set()
    for manifest_id in manifests:
        found.update(snapshot.read_manifest(store, manifest_id).digests())
    return found


def _would_collect(store: ObjectStore, manifests: set[str], grace: float, now: float) -> dict[str, int]:
    needed = {bytes.fromhex(digest) for digest in _needed(store, manifests)}
    packs, freed = 0, 0
    for pack in store.packs.glob("*.pack"):
        info = pack.stat()
        entries = read_index(str(pack.with_suffix(".idx"))) if pack.with_suffix(".idx").exists() else []
        kept = sum(size for digest, _, size in entries if digest in needed)
        if now - info.st_mtime > grace and kept < info.st_size / 2:
            packs += 1
            freed += info.st_size - kept
    return {"packs": packs, "bytes": freed}


# ---- what can be made anew -------------------------------------------------------------------------------


def repair(home: Path) -> dict[str, int]:
    """Rebuild every index and index what killed writers left; ``{"runs": …, "packs": …}``.

    The agent is away meanwhile, and starts again when it is needed; runs go on by themselves.
    """
    open_home(home)
    done = {"runs": 0, "packs": 0}
    active = False
    with _agent_away(home):
        for place in workspaces(home):
            if (place.objects / "packs").is_dir():
                done["packs"] += ObjectStore(place.objects).recover()
            done["runs"] += _rebuild(place)
            active = active or any(not row.over for row in index.listing(place))
    if active:
        client.ensure_agent(home)
    return done


def _rebuild(place: WorkspaceDir) -> int:
    try:
        if place.index.is_dir() and not place.index.is_symlink():
            place.index.rename(place.index.with_name(f"index.damaged.{time.time_ns()}"))
        for suffix in ("", "-wal", "-shm"):
            # of a rebuild that was killed: SQLite would take its journal for the new one's
            place.index.with_name(f"index.new{suffix}").unlink(missing_ok=True)
        return index.rebuild(place, summary_of)
    except OSError as problem:
        raise StoreError(
            f"{place.index} cannot be written: {problem.strerror or problem}", hint="free space or permissions there"
        ) from problem


@contextmanager
def _agent_away(home: Path) -> Iterator[None]:
    """No agent of this host while the block runs."""
    place = client.AgentDir(home).make()
    client.stop_agent(home)
    fd = os.open(place.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        patience = process.Patience(LOCK_SECONDS)
        while not _locked(fd):
            if patience.over():
                raise AgentError("the agent came back while it was away", hint="run this again")
            client.stop_agent(home)
            time.sleep(0.05)
        yield
    finally:
        os.close(fd)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
