"""The index of a workspace's runs: what listings need, in SQLite, rebuilt from the run directories at any time.

Reads run directories; writes ``index.sqlite``.  The agent alone writes; readers open it read-only for one call
and look into the directories wherever it is behind, so a missing or damaged index costs time, never a run.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
import zlib
from contextlib import closing
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.records import slug
from jupyter_mlrun.rundir import FILE_MODE, RunDir
from jupyter_mlrun.store import runs
from jupyter_mlrun.worker import notes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from jupyter_mlrun.records import RunState, Spec
    from jupyter_mlrun.store.home import WorkspaceDir

_VERSION = 2
_ANNOTATIONS = RunDir("").annotations.name
# a folder that changed just now may change again within the clock's grain: it is looked at, not trusted
_RACY_SECONDS = 0.1


@dataclass(frozen=True)
class Row:
    """One line of a listing."""

    run_id: str
    path: str
    experiment: str
    display_name: str | None
    status: str
    reason: str | None
    created: float
    started: float | None
    ended: float | None
    exit_code: int | None
    script: str | None
    target: str
    parameters: dict[str, Any]
    tags: dict[str, str]
    over: bool
    metrics: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


_COLUMNS = [f.name for f in fields(Row)]
_JSON = {"parameters", "tags", "metrics"}
_OVER = _COLUMNS.index("over")
_SCHEMA = f"""
create table if not exists runs ({", ".join(_COLUMNS)}, crc, primary key (path)) without rowid;
create index if not exists by_created on runs (created);
create index if not exists by_over on runs (over);
create table if not exists folders (path primary key, mtime, runs) without rowid;
pragma user_version = {_VERSION};
"""
_FITS = "(:experiment is null or experiment = :experiment)"
# the latest and the active ones: of all runs by the indexes alone, of an experiment by the lines alone ("+")
_CHOSEN = """
select path from (select path from runs indexed by by_created order by created desc limit :limit)
union select path from runs indexed by by_over where over = 0
"""
_CHOSEN_OF_ONE = """
select path from (select path from runs where experiment = :experiment order by +created desc limit :limit)
union select path from runs where +over = 0 and experiment = :experiment
"""
_LINES = f"select {', '.join(_COLUMNS)}, crc from runs where"
# What the lines say, in one pass over all of them, and what the indexes say: where those are damaged, SQLite passes
# over lines without a word.  Times in whole milliseconds, since a sum of floats depends on its order.
_TIMES = "sum(cast(created * 1000 as integer))"
_BY_LINES = f"select coalesce(sum({_FITS}), 0), {_TIMES}, coalesce(sum(over = 0), 0) from runs"
_BY_INDEXES = f"""
select (select {_TIMES} from runs indexed by by_created), (select count(*) from runs indexed by by_over where over = 0)
"""
_INSERT = f"insert or replace into runs values ({', '.join('?' * (len(_COLUMNS) + 1))})"
_SEEN = "insert or replace into folders values (?, ?, ?)"


def row_of(run: RunDir, spec: Spec, state: RunState, metrics: dict[str, Any] | None = None) -> Row:
    """The listing line of a run."""
    reason = state.reason.text if state.reason else state.note
    return Row(
        run_id=spec.run_id,
        path=str(run.path),
        experiment=spec.experiment,
        display_name=spec.display_name,
        status=str(state.shown),
        reason=reason,
        created=spec.created,
        started=state.started,
        ended=state.ended,
        exit_code=state.process_exit_code if state.is_over else None,
        script=spec.script,
        target=spec.target,
        parameters={name: p.get("value") for name, p in spec.parameters.items()},
        tags=spec.tags,
        over=state.is_over,
        metrics=metrics or {},
    )


class IndexWriter:
    """The agent's side."""

    def __init__(self, workspace: WorkspaceDir, summarise: Callable[[RunDir], dict[str, Any]]) -> None:
        self.workspace, self.summarise = workspace, summarise
        self._base = self._open()

    def _open(self) -> sqlite3.Connection:
        path = self.workspace.index
        try:
            return _connect(path)
        except sqlite3.DatabaseError:
            set_aside(path)
            return _connect(path)

    def put(self, run: RunDir, spec: Spec, state: RunState) -> None:
        """Bring one run's line up to date."""
        self.put_many([(run, spec, state)])

    def put_many(self, entries: Iterable[tuple[RunDir, Spec, RunState]]) -> None:
        """Bring lines up to date in one transaction."""
        rows = [_values(row_of(r, s, t, self.summarise(r) if t.is_over else None)) for r, s, t in entries]
        self._do(lambda base: base.executemany(_INSERT, rows))

    def known(self, folder: Path) -> set[str]:
        """The run directories of *folder* that the index has as ended."""
        prefix = f"{folder}{os.sep}"
        found = self._do(
            lambda base: base.execute(
                "select path from runs where over and path > ? and path < ?", (prefix, prefix + "\U0010ffff")
            ).fetchall()
        )
        return {path for (path,) in found}

    def forget(self, paths: Iterable[str]) -> None:
        """Remove lines of runs that are gone."""
        self._do(lambda base: base.executemany("delete from runs where path = ?", [(path,) for path in paths]))

    def seen(self, folder: Path, mtime_ns: int, count: int) -> None:
        """Note that every run of *folder*, as it was at *mtime_ns*, has its line: *count* lines."""
        self._do(lambda base: base.execute(_SEEN, (str(folder), _settled(mtime_ns), count)))

    def _do(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        """Work in one transaction; a base that went bad is set aside and made anew."""
        for last in (False, True):
            try:
                with self._base:
                    return work(self._base)
            except sqlite3.OperationalError:
                if last or self.workspace.index.exists():
                    raise
            except sqlite3.DatabaseError:
                if last:
                    raise
                set_aside(self.workspace.index)
            self._base.close()
            self._base = self._open()
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Let go of the file."""
        self._base.close()


def _settled(mtime_ns: int) -> int:
    """The time to trust a folder by; none while it may still change within the clock's grain."""
    return 0 if time.time() - mtime_ns / 1e9 < _RACY_SECONDS else mtime_ns


def _connect(path: Path) -> sqlite3.Connection:
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, FILE_MODE))
    base = sqlite3.connect(path, timeout=5.0)
    try:
        if base.execute("pragma user_version").fetchone()[0] not in (0, _VERSION):
            raise sqlite3.DatabaseError("another version of the index")
        base.execute("pragma journal_mode = wal")
        base.execute("pragma synchronous = normal")
        base.executescript(_SCHEMA)
        base.execute("select count(*) from runs").fetchone()
    except BaseException:
        base.close()
        raise
    return base


def set_aside(path: Path) -> None:
    """Move a damaged index out of the way; the last damaged one is kept to look at."""
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    if path.exists() or path.is_symlink():
        os.replace(path, path.with_name("index.damaged"))


def _values(row: Row) -> list[Any]:
    data = row.__dict__
    values = [json.dumps(data[name]) if name in _JSON else data[name] for name in _COLUMNS]
    values[_OVER] = int(values[_OVER])
    return [*values, _crc(values)]


def _crc(values: Sequence[Any]) -> int:
    """SQLite does not notice a bit that flipped on the disk; this does."""
    return zlib.crc32(repr(list(values)).encode("utf-8", "surrogatepass"))


def _row(values: tuple[Any, ...]) -> Row:
    if _crc(values[:-1]) != values[-1]:
        raise ValueError("a line of the index is damaged")
    data = dict(zip(_COLUMNS, values[:-1], strict=True))
    for name in _JSON:
        data[name] = json.loads(data[name])
    data["over"] = bool(data["over"])
    return Row(**data)


def listing(workspace: WorkspaceDir, *, experiment: str | None = None, limit: int | None = None) -> list[Row]:
    """The runs of a workspace, newest first: ended ones from the index, the others as their files say.

    With *experiment* the folders of others are not looked into.
    """
    rows, trusted = _indexed(workspace, limit, experiment)
    known = {row.path for row in rows}
    found = [row for row in rows if row.over]
    for row in rows:
        if not row.over:
            found.extend(_from_files(RunDir(row.path)))
    folder_name = None if experiment is None else slug(experiment)
    folders = [one for one in runs.experiment_folders(workspace) if folder_name in (None, one.name)]
    present = {str(folder) for folder in folders}
    found = [row for row in found if os.path.dirname(row.path) in present]
    for folder in folders:
        if trusted.get(str(folder)) == folder.stat().st_mtime_ns:
            continue
        names = {entry.path for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)}
        found = [row for row in found if os.path.dirname(row.path) != str(folder) or row.path in names]
        if limit is not None and len(names) > limit:
            # the index gave only a part: which of the others are newer, their names tell, to the second
            oldest = sorted(map(_created_of, names))[-limit]
            names = {name for name in names if _created_of(name) >= oldest}
        for path in sorted(names - known):
            found.extend(_from_files(RunDir(path)))
    if experiment is not None:
        found = [row for row in found if row.experiment == experiment]
    found.sort(key=lambda row: (row.created, row.run_id), reverse=True)
    return [_noted(row) for row in found[:limit]]


def _noted(row: Row) -> Row:
    """The line with what people said of the run since it ended, which the index does not know."""
    path = os.path.join(row.path, _ANNOTATIONS)
    if not row.over or not os.path.exists(path):
        return row
    said = notes.read(path)
    return replace(row, tags=notes.over(row.tags, said), display_name=said.get("display_name", row.display_name))


def _created_of(path: str) -> int:
    part = path.rsplit("_", 2)
    return int(part[1]) if len(part) == 3 and part[1].isdigit() else 0


def _indexed(
    workspace: WorkspaceDir, limit: int | None, experiment: str | None = None
) -> tuple[list[Row], dict[str, int]]:
    """Lines and trusted folder times of the index; nothing where it cannot be read."""
    path = workspace.index
    if not path.is_file():
        return [], {}
    values_of = {"experiment": experiment, "limit": limit}
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=2.0)) as base:
            if base.execute("pragma user_version").fetchone()[0] != _VERSION:
                return [], {}
            base.execute("begin")  # one moment for all that is read
            seen = base.execute("select path, mtime, runs from folders").fetchall()
            fitting, *sums = base.execute(_BY_LINES, values_of).fetchone()
            folder = None if experiment is None else slug(experiment)
            whole = fitting == sum(count for path, _, count in seen if folder in (None, os.path.basename(path)))
            if limit is None:
                found = [_row(values) for values in base.execute(f"{_LINES} {_FITS}", values_of)]
                whole &= len(found) == fitting
            else:
                chosen = base.execute(_CHOSEN if experiment is None else _CHOSEN_OF_ONE, values_of).fetchall()
                found = [_row(values) for one in chosen for values in base.execute(f"{_LINES} path = ?", one)]
                whole &= len(found) == len(chosen) >= min(fitting, limit)
                whole &= tuple(sums) == base.execute(_BY_INDEXES).fetchone()
            return (found, {path: mtime for path, mtime, _ in seen}) if whole else ([], {})
    except (sqlite3.Error, ValueError, TypeError, OverflowError):
        # damaged or just being replaced: the directories have everything
        return [], {}


def indexed_paths(workspace: WorkspaceDir) -> set[str] | None:
    """The run directories that the index has; None where it cannot be read."""
    if not workspace.index.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{workspace.index.as_uri()}?mode=ro", uri=True, timeout=2.0)) as base:
            if base.execute("pragma integrity_check").fetchone()[0] != "ok":
                return None
            return {path for (path,) in base.execute("select path from runs")}
    except sqlite3.Error:
        return None


def _from_files(run: RunDir) -> Iterator[Row]:
    loaded = runs.load(run)
    if loaded is not None:
        yield row_of(run, *loaded)


def rebuild(workspace: WorkspaceDir, summarise: Callable[[RunDir], dict[str, Any]]) -> int:
    """Make the index anew from the run directories; returns how many runs it has."""
    fresh = workspace.index.with_name("index.new")
    fresh.unlink(missing_ok=True)
    count = 0
    with closing(_connect(fresh)) as base:
        for folder in runs.experiment_folders(workspace):
            mtime, before = folder.stat().st_mtime_ns, count
            for entry in sorted(os.scandir(folder), key=lambda e: e.name):
                run = RunDir(entry.path)
                for row in _from_files(run):
                    row.metrics.update(summarise(run))
                    base.execute(_INSERT, _values(row))
                    count += 1
            base.execute(_SEEN, (str(folder), _settled(mtime), count - before))
        base.commit()
        base.execute("pragma wal_checkpoint(truncate)")
        base.execute("pragma journal_mode = delete")
    for suffix in ("-wal", "-shm"):
        Path(f"{workspace.index}{suffix}").unlink(missing_ok=True)
    os.replace(fresh, workspace.index)
    return count
