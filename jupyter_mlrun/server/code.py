"""The code of runs: the tree and files of a snapshot, what differs between two runs, runs beside one another.

Reads snapshots, specs and lists; writes nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from jupyter_mlrun import differences
from jupyter_mlrun.errors import BadInput
from jupyter_mlrun.sdk.facts import became_of, facts_of
from jupyter_mlrun.server.api_runs import MOST_COMPARED, MOST_FILES
from jupyter_mlrun.server.base import Handler
from jupyter_mlrun.server.files import Sender
from jupyter_mlrun.server.snapshots import Code, changes_between, code_of, kind_of
from jupyter_mlrun.store import runs
from jupyter_mlrun.ui.reader import words

if TYPE_CHECKING:
    from jupyter_mlrun.records import Spec
    from jupyter_mlrun.server.api import Comparison, Diff, FileList
    from jupyter_mlrun.server.entry import Entry
    from jupyter_mlrun.server.service import Service
    from jupyter_mlrun.store.home import WorkspaceDir

DIFF_SECONDS = 10.0


class CodeHandler(Handler):
    """``api/runs/RUN/code``."""

    async def get(self, run_id: str) -> None:
        self.answer(await self.work(_tree, self.service, self.workspace(), run_id))


def _tree(service: Service, place: WorkspaceDir, run_id: str) -> FileList:
    code = Code(place, runs.read_spec(service.run(place, run_id)))
    files = [code.files[path] for path in sorted(code.files)[:MOST_FILES]]
    return {
        "files": [
            {
                "path": _plain(entry["path"]),
                "size": int(entry.get("size", 0)),
                "mtime": None,
                "kind": "link" if "link" in entry else kind_of(entry["path"]),
            }
            for entry in files
        ],
        "total": len(code.files),
        "snapshot": code.id,
    }


def _plain(path: str) -> str:
    return path.encode("utf-8", "replace").decode()


class CodeFile:
    """A file of a snapshot, as something that can be sent."""

    def __init__(self, service: Service, place: WorkspaceDir, run_id: str, path: str) -> None:
        self.code = Code(place, runs.read_spec(service.run(place, run_id)))
        entry = self.code.entry(path)
        self.size = int(entry.get("size", 0))
        self._chunks: list[str] = entry["chunks"]
        self._at = 0  # where the piece that is at hand begins
        self._next = 0
        self._data = b""

    def read(self, offset: int, count: int) -> bytes:
        """As ``files.Source.read``: forwards, piece by piece."""
        while offset >= self._at + len(self._data) and self._next < len(self._chunks):
            self._at += len(self._data)
            self._data = self.code.chunk(self._chunks[self._next])
            self._next += 1
        return self._data[offset - self._at : offset - self._at + count]

    def close(self) -> None:
        """As ``files.Source.close``."""
        self.code.store.close()


class CodeFileHandler(Sender):
    """``api/runs/RUN/code/file``."""

    ACTIONS: ClassVar[dict[str, str]] = {"GET": "read", "HEAD": "read"}

    async def get(self, run_id: str) -> None:
        path = self.need("path")
        source = await self.work(CodeFile, self.service, self.workspace(), run_id, path)
        try:
            await self.send(source, path)
        finally:
            source.close()

    async def head(self, run_id: str) -> None:
        await self.get(run_id)


# ---- differences -----------------------------------------------------------------------------------------------


class DiffHandler(Handler):
    """``api/diff``."""

    async def get(self) -> None:
        both = (self.need("a"), self.need("b"))
        self.answer(await self.work(_diff, self.service, self.workspace(), *both, limit=DIFF_SECONDS))


def _diff(service: Service, place: WorkspaceDir, a: str, b: str) -> Diff:
    specs = [runs.read_spec(service.run(place, run_id)) for run_id in (a, b)]
    found, same = changes_between(*(code_of(place, spec) for spec in specs))
    facts = [facts_of(spec, became={}, metrics={}) for spec in specs]
    return {
        "a": a,
        "b": b,
        "files": [
            {"path": _plain(one.path), "status": one.status, "diff": one.diff, "why": one.why}  # type: ignore[typeddict-item]
            for one in found
        ],
        "same": same,
        "parameters": _pairs(facts, "parameters"),
        "environment": _pairs(facts, "environment"),
    }


def _pairs(facts: list[differences.Facts], section: str) -> Any:
    both = [one.sections.get(section, {}) for one in facts]
    return [{"name": name, "a": a, "b": b} for name, a, b in differences.pairs(both[0], both[1])]


# ---- beside one another ----------------------------------------------------------------------------------------


class CompareHandler(Handler):
    """``api/compare``."""

    async def get(self) -> None:
        wanted = list(dict.fromkeys(one for one in self.need("runs").split(",") if one))
        if not 1 <= len(wanted) <= MOST_COMPARED:
            raise BadInput(f"runs= names {len(wanted)} runs", hint=f"1 to {MOST_COMPARED}, with commas between them")
        self.answer(await self.work(_compare, self.service, self.workspace(), wanted, limit=DIFF_SECONDS))


def _compare(service: Service, place: WorkspaceDir, wanted: list[str]) -> Comparison:
    found = [service.run(place, run_id) for run_id in wanted]
    shelf, now = service.shelf(place), time.monotonic()
    with shelf.lock:
        shelf.refresh()
        entries = [shelf.entry(run) for run in found]
        for entry in entries:
            entry.beat(now)
        lines = [entry.line(shelf.waiting.get(entry.row.run_id)) for entry in entries]
    rows = differences.table([_facts(runs.read_spec(run), entry) for run, entry in zip(found, entries, strict=True)])
    return {
        "runs": lines,
        "rows": [
            {"section": row.section, "name": row.name, "values": list(row.values), "differs": row.differs}  # type: ignore[typeddict-item]
            for row in rows
        ],
        "metrics": differences.in_common([[words(name, 300) for name in entry.metrics] for entry in entries]),
    }


def _facts(spec: Spec, entry: Entry) -> differences.Facts:
    row = entry.row
    became = became_of(row.status, row.experiment, row.target, entry.elapsed(time.time()))
    return facts_of(spec, became=became, metrics=entry.metrics)
