"""``fsck``: what is wrong in a home, in words, each with its cure.

Reads everything below the home; writes nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import IllegalMove, JupyterMLRunError, NotFound
from jupyter_mlrun.records import RunState, after, end_event, fold, status_event
from jupyter_mlrun.rundir import FORMAT, read_json_if_there
from jupyter_mlrun.states import Status
from jupyter_mlrun.store import holders, runs, snapshot
from jupyter_mlrun.store.home import WorkspaceDir, open_home, workspaces
from jupyter_mlrun.store.packs import ObjectStore
from jupyter_mlrun.store.registry import Versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jupyter_mlrun.rundir import RunDir

DAY = 86400.0
REBUILD = "jupyter mlrun fsck --rebuild"
BUSY = 60.0  # seconds that others may write to the index meanwhile
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, JupyterMLRunError)


@dataclass(frozen=True)
class Problem:
    """Something that is not as it should be.  ``level``: "fail", or "warn" for what does no harm."""

    level: str
    where: str
    text: str
    cure: str = ""

    def __str__(self) -> str:
        return f"{self.where} {self.text}" + (f" ({self.cure})" if self.cure else "")

    def to_json(self) -> dict[str, str]:
        """For ``--json``."""
        return asdict(self)


def check(home: Path, progress: Callable[[str], None] | None = None) -> list[Problem]:
    """Every problem of a home.  Raises ``NewerStore`` for one that a newer program made."""
    open_home(home, create=False)
    found = list(_of_home(home))
    for place in workspaces(home):
        users: dict[str, list[str]] = {}  # tree -> what needs it
        for run in runs.run_dirs(place):
            if progress is not None:
                progress(str(run.path))
            found += _of_run(place, run, users)
        found += _of_registries(place, users)
        found += _of_objects(ObjectStore(place.objects), users, progress)
        found += _of_index(place)
        found += _leftovers(place)
    return found


def _of_home(home: Path) -> Iterator[Problem]:
    if home.is_dir() and workspaces(home) and not (home / "format.json").exists():
        text = "is missing, so an older program cannot know that it must not write here"
        yield Problem("warn", str(home / "format.json"), text, f'put {{"format": {FORMAT}}} into it')


# ---- runs ----------------------------------------------------------------------------------------------


def _of_run(place: WorkspaceDir, run: RunDir, users: dict[str, list[str]]) -> Iterator[Problem]:
    try:
        spec = runs.read_spec(run)
        expected = runs.place(place, spec.run_id)
    except _UNREADABLE as problem:
        yield Problem("fail", str(run.spec), f"cannot be read: {problem!r}", "restore it from a backup")
        return
    if expected != run.path:
        yield Problem("fail", str(run.path), f"is a copy of run {spec.run_id}, which lives elsewhere", "move it away")
    for manifest in holders.of_run(run, spec):
        users.setdefault(manifest, []).append(spec.run_id)
    yield from _of_events(run)


def _of_events(run: RunDir) -> Iterator[Problem]:
    where = str(run.events)
    try:
        lines = [line for line in run.events.read_bytes().split(b"\n") if line.strip()]
        events = list(runs.events(run))
    except FileNotFoundError:
        lines, events = [], []
    except OSError as problem:
        yield Problem("fail", where, f"cannot be read: {problem.strerror or problem}")
        return
    if not events:
        yield Problem("fail", where, "has no events, so the state of the run is not known")
        return
    if len(lines) > len(events):
        text = f"has {len(lines) - len(events)} lines that a kill or a full disk tore; they are passed over"
        yield Problem("warn", where, text)
    yield from _of_history(where, events)
    yield from _of_exit(run, events)


def _of_history(where: str, events: list[dict[str, Any]]) -> Iterator[Problem]:
    """Moves that the table of states forbids, and numbers that do not rise."""
    state = RunState()
    for event in events:
        try:
            if event["type"] == "status":
                status_event(state, Status(event["status"]))
            if int(event.get("seq", state.seq + 1)) <= state.seq:
                yield Problem("fail", where, f"has event {event['seq']} after event {state.seq}: two wrote to it")
            state = after(state, event)
        except IllegalMove as problem:
            yield Problem("fail", where, problem.message)
            state = after(state, event)
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            yield Problem("fail", where, f"has an event that means nothing: {problem!r}")
            return


def _of_exit(run: RunDir, events: list[dict[str, Any]]) -> Iterator[Problem]:
    try:
        found = read_json_if_there(run.exit)
        if found is not None:
            Status(found["status"])
            state = fold(events)
            if not state.is_over:
                end_event(state, found)
    except _UNREADABLE as problem:
        yield Problem("fail", str(run.exit), f"cannot be read: {problem!r}")


# ---- data sets, models and what lies on datastores -------------------------------------------------------


def _of_registries(place: WorkspaceDir, users: dict[str, list[str]]) -> Iterator[Problem]:
    for kind, name, version in holders.versions(place):
        try:
            manifest, who = holders.of_version(place, kind, name, version)
        except NotFound:  # removed since it was listed
            continue
        except _UNREADABLE as problem:
            path = Versions(place, kind).path(name, version)
            yield Problem("fail", str(path), f"cannot be read: {problem}", "restore it from a backup")
            continue
        users.setdefault(manifest, []).append(who)
    for name in holders.datastores(place):
        try:
            for manifest, who in holders.of_datastore(place, name):
                users.setdefault(manifest, []).append(who)
        except _UNREADABLE as problem:
            where = str(place.path / "datastores" / name)
            yield Problem("fail", where, f"cannot be read: {problem}", "restore it from a backup")


# ---- trees and their objects ---------------------------------------------------------------------------


def _of_objects(
    store: ObjectStore, users: dict[str, list[str]], progress: Callable[[str], None] | None
) -> Iterator[Problem]:
    needed: dict[str, set[str]] = {}  # object -> what needs it
    manifests = set(snapshot.list_manifests(store))
    for gone in sorted(users.keys() - manifests):
        names = _names(users[gone])
        yield Problem("fail", str(store.manifests / f"{gone}.json"), f"is gone; {names}")
    for manifest_id in sorted(manifests):
        try:
            manifest = _read_manifest(store, manifest_id)
        except _UNREADABLE as problem:
            names = _names(users.get(manifest_id, []))
            yield Problem("fail", str(store.manifests / f"{manifest_id}.json"), f"is damaged ({problem}); {names}")
            continue
        for digest in manifest.digests():
            needed.setdefault(digest, set()).update(users.get(manifest_id, ()))
    yield from _of_packs(store, needed, progress)


def _read_manifest(store: ObjectStore, manifest_id: str) -> snapshot.Manifest:
    """The manifest, whose id is the digest of what it lists."""
    manifest = snapshot.read_manifest(store, manifest_id)
    text = json.dumps(manifest.files, sort_keys=True, separators=(",", ":"))
    if hashlib.sha256(text.encode("ascii")).hexdigest() != manifest_id:
        raise ValueError("it does not fit its id")
    return manifest


def _of_packs(
    store: ObjectStore, needed: dict[str, set[str]], progress: Callable[[str], None] | None
) -> Iterator[Problem]:
    for text in store.verify(progress):
        match = _DIGEST.search(text)
        names = _names(sorted(needed.get(match.group(), ()))) if match else ""
        yield Problem("fail", str(store.packs), f"{text}; {names}" if names else text, REBUILD if not match else "")
    for index in sorted(store.packs.glob("*.idx")):
        if not index.with_suffix(".pack").exists():
            yield Problem("fail", str(index), "has lost its pack", "restore the pack from a backup")
    try:
        there = store.reader().places
    except (OSError, JupyterMLRunError):
        return  # named above
    lost = sorted(digest for digest in needed if bytes.fromhex(digest) not in there)
    if lost:
        names = _names(sorted({name for digest in lost for name in needed[digest]}))
        yield Problem("fail", str(store.packs), f"{len(lost)} objects are gone, the first {lost[0][:12]}; {names}")


def _names(users: list[str]) -> str:
    if not users:
        return "nothing needs it"
    more = f" and {len(users) - 3} more" if len(users) > 3 else ""
    return f"needed by {', '.join(users[:3])}{more}"


# ---- index and leftovers ---------------------------------------------------------------------------------


def _of_index(place: WorkspaceDir) -> Iterator[Problem]:
    where = str(place.index)
    there = {str(run.path): run for run in runs.run_dirs(place)}
    if place.index.is_symlink() or (place.index.exists() and not place.index.is_file()):
        yield Problem("fail", where, "is no regular file", REBUILD)
        return
    if not place.index.exists():
        if there:
            yield Problem("warn", where, "is missing; listings read every run until the agent makes it anew", REBUILD)
        return
    try:
        rows = _index_rows(place.index)
    except (sqlite3.Error, ValueError) as problem:
        yield Problem("fail", where, f"is damaged ({problem}); listings read every run meanwhile", REBUILD)
        return
    stale = [path for path, over, status in rows if over and not _agrees(there.get(path), status)]
    if stale:
        yield Problem("fail", where, f"tells other than the runs' own files about {len(stale)} runs", REBUILD)


def _index_rows(path: Path) -> list[tuple[str, int, str]]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY)) as base:
        try:
            said = base.execute("pragma integrity_check").fetchone()[0]
        except sqlite3.OperationalError:
            if os.access(path.parent, os.W_OK):
                raise
            # a read-only folder has no room for the files that a reader shares with writers: there are none
            with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as still:
                return list(still.execute("select path, over, status from runs"))
        if said != "ok":
            raise ValueError(said)
        return list(base.execute("select path, over, status from runs"))


def _agrees(run: RunDir | None, status: str) -> bool:
    if run is None:
        return False
    loaded = runs.load(run)
    return loaded is None or str(loaded[1].shown) == status


def leftovers(place: WorkspaceDir, now: float) -> list[Path]:
    """What was being made a day ago by processes that are gone."""
    found = []
    for path in sorted(place.tmp.iterdir()) if place.tmp.is_dir() else ():
        pid = path.name.rpartition(".")[2]
        alive = pid.isdigit() and os.path.exists(f"/proc/{pid}")
        try:
            age = now - path.lstat().st_mtime
        except FileNotFoundError:
            continue
        # another host's process cannot be seen here: a day must have passed, too
        if not alive and age > DAY:
            found.append(path)
    return found


# what ``rundir`` and others write before they rename it: with the writer's pid, or with random digits alone
_UNFINISHED = re.compile(r"\.(.+\.)?(\d+\.)?[0-9a-f]{8,12}\.new|rank-\d+\.exit\.json\.\d+\.new")


def unfinished(home: Path, now: float) -> Iterator[Path]:
    """Files that were being written a day ago, and never will be: nobody reads them."""
    for place in workspaces(home):
        elsewhere = {place.objects, place.trees, place.trash, place.tmp}
        yield from _unfinished_below(place.path, {str(path) for path in elsewhere}, now)
    yield from _unfinished_below(home / ".agent", set(), now)


def _unfinished_below(top: Path, skipped: set[str], now: float) -> Iterator[Path]:
    for folder, folders, names in os.walk(top):
        # a run's working copy goes as a whole, and what it put into its folders is its own
        folders[:] = [one for one in folders if f"{folder}/{one}" not in skipped and one not in ("work", "inputs")]
        for name in names:
            path = Path(folder, name)
            if _UNFINISHED.fullmatch(name) and now - _changed(path, now) > DAY:
                yield path


def _changed(path: Path, now: float) -> float:
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return now


def _leftovers(place: WorkspaceDir) -> Iterator[Problem]:
    for path in leftovers(place, time.time()):
        yield Problem("warn", str(path), "was left over by a submit that was killed", "jupyter mlrun gc")
    rest = list(place.trash.iterdir()) if place.trash.is_dir() else []
    if rest:
        yield Problem("warn", str(place.trash), f"holds {len(rest)} removed runs", "jupyter mlrun gc")
