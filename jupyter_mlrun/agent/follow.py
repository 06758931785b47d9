"""Follows every run of a home on this host: finds new ones, starts those that may, sees how they end.

Reads run directories; writes ``events.jsonl``, ``stop.json``, ``rank-<n>.reaped.json`` and the index.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.agent.leases import Lease, grant_of, lease_of
from jupyter_mlrun.agent.schedule import Scheduler, with_end
from jupyter_mlrun.backends.base import Seen, Sighting
from jupyter_mlrun.backends.local import LocalBackend, install_worker, look
from jupyter_mlrun.backends.warm import Pool
from jupyter_mlrun.errors import JupyterMLRunError
from jupyter_mlrun.rundir import RunDir, dump_json, read_json_if_there, write_atomic, write_once
from jupyter_mlrun.states import WAITING, EndReason, Status
from jupyter_mlrun.store import runs
from jupyter_mlrun.store.home import WorkspaceDir, workspaces
from jupyter_mlrun.store.index import IndexWriter
from jupyter_mlrun.store.series import summary_of
from jupyter_mlrun.ui import page
from jupyter_mlrun.worker import process

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_mlrun.records import RunState, Spec

MOST_GENERATIONS = 20
PAGE_SECONDS = 5.0


@dataclass
class Active:
    """A run that has not ended."""

    workspace: WorkspaceDir
    run: RunDir
    spec: Spec
    state: RunState
    handle: str | None = None
    lease: Lease | None = None

    @property
    def is_interactive(self) -> bool:
        """Whether a process of its user is the run, and no worker."""
        return not self.state.generation and self.state.status in (Status.RUNNING, Status.CANCEL_REQUESTED)

    def handle_of(self, generation: int) -> str:
        """The local backend's handle of that worker."""
        return json.dumps({"run_dir": str(self.run.path), "generation": generation})


class Follower:
    """What the agent knows of the runs; all of it can be read again from their directories."""

    def __init__(self, home: Path, place: Path, wake: str) -> None:
        self.home, self.host = home, process.host_id()
        self.machine = look()
        worker = install_worker(place)
        self.pool = Pool(worker, place / "agent.log")
        self.backend = LocalBackend(worker, wake=wake, pool=self.pool)
        self.active: dict[str, Active] = {}
        self.scheduler = Scheduler(self.machine)
        self._indexes: dict[str, IndexWriter] = {}
        self._folders: dict[str, int] = {}
        self._next_pages = 0.0

    @property
    def waiting(self) -> dict[str, str]:
        """Why each queued run waits."""
        return self.scheduler.waiting

    @property
    def busy(self) -> bool:
        """Whether any run is on its way."""
        return bool(self.active)

    def step(self) -> None:
        """One round."""
        self._discover()
        self._note_reaped()
        self._look()
        self._schedule()
        self._refresh_pages()

    # ---- finding runs --------------------------------------------------------------------------------

    def _index(self, workspace: WorkspaceDir) -> IndexWriter:
        if workspace.name not in self._indexes:
            self._indexes[workspace.name] = IndexWriter(workspace, summary_of)
        return self._indexes[workspace.name]

    def _discover(self) -> None:
        """Look into each experiment's folder that changed since the last look."""
        for workspace in workspaces(self.home):
            for folder in runs.experiment_folders(workspace):
                mtime = folder.stat().st_mtime_ns
                if self._folders.get(str(folder)) != mtime:
                    self._read_folder(workspace, folder)
                    # within the clock's grain another run may still come without a new time
                    settled = time.time() - mtime / 1e9 > 0.1
                    self._folders[str(folder)] = mtime if settled else -1

    def _read_folder(self, workspace: WorkspaceDir, folder: Path) -> None:
        mtime = folder.stat().st_mtime_ns
        index = self._index(workspace)
        known = index.known(folder)
        there = {entry.path for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)}
        fresh, unreadable = [], 0
        for path in sorted(there - known - self.active.keys()):
            run = RunDir(path)
            try:
                spec, state = runs.read_spec(run), runs.recorded(run)
            except (OSError, ValueError, KeyError, TypeError, JupyterMLRunError) as problem:
                print(f"{path} cannot be read: {problem}", file=sys.stderr)
                unreadable += 1
                continue
            fresh.append((run, spec, state))
            guess = state.reason is not None and state.reason.guess
            if (not state.is_over or guess) and spec.created_by.get("host_id") == self.host:
                self._adopt(workspace, run, spec, state)
        index.put_many(fresh)
        gone = [path for path in self.active if os.path.dirname(path) == str(folder) and path not in there]
        for path in gone:
            del self.active[path]
        index.forget([*gone, *(known - there)])
        index.seen(folder, mtime, len(there) - unreadable)

    def _adopt(self, workspace: WorkspaceDir, run: RunDir, spec: Spec, state: RunState) -> None:
        if state.is_over:
            found = read_json_if_there(run.exit)
            if found is not None and not found.get("guess"):
                runs.finish(run, state, found)
            return
        entry = Active(workspace, run, spec, state)
        if state.generation:
            entry.handle = entry.handle_of(state.generation)
            entry.lease = lease_of(spec.run_id, read_json_if_there(run.grant) or {}, spec.resources)
        self.active[str(run.path)] = entry

    # ---- seeing --------------------------------------------------------------------------------------

    def _note_reaped(self) -> None:
        """Ranks whose worker was killed end as our children: what we saw is the best witness."""
        reaped = process.reap()
        fresh = set(reaped)
        if not fresh:
            return
        for entry in self.active.values():
            for rank in range(entry.spec.resources.procs):
                who = read_json_if_there(entry.run.rank(rank))
                if who is not None and who["pid"] in fresh:
                    status = reaped[who["pid"]][0]
                    write_once(entry.run.reaped(rank), dump_json({"status": status, "time": time.time()}))
        for pid in fresh:
            # the kernel gives pids out again: what has been dealt with is forgotten
            del reaped[pid]

    def _look(self) -> None:
        launched = {e.handle: e for e in list(self.active.values()) if e.handle is not None}
        for handle, sighting in self.backend.poll(list(launched)).items():
            try:
                self._decide(launched[handle], sighting)
            except JupyterMLRunError as problem:
                print(f"{launched[handle].run.path}: {problem}", file=sys.stderr)
        for entry in [e for e in self.active.values() if e.is_interactive]:
            found = read_json_if_there(entry.run.exit) or runs.death(entry.run, entry.state)
            if found is not None:
                self._end(entry, found)

    def _decide(self, entry: Active, sighting: Sighting) -> None:
        """What a sighting means for the run."""
        if sighting.seen is Seen.ENDED:
            self._end(entry, sighting.found)
        elif sighting.seen is Seen.RUNNING:
            if entry.state.status is Status.STARTING:
                who = read_json_if_there(entry.run.rank(0)) or {}
                self._move(entry, Status.RUNNING, started=who.get("started", time.time()))
        elif sighting.seen is Seen.UNWATCHED:
            self._watch_again(entry)
        elif sighting.seen is Seen.LOST and entry.state.unseen_since is None:
            entry.state = runs.append(entry.run, entry.state, {"type": "seen", "seen": False, "text": sighting.text})
            self._index(entry.workspace).put(entry.run, entry.spec, entry.state)
        if sighting.seen is not Seen.LOST and entry.state.unseen_since is not None:
            entry.state = runs.append(entry.run, entry.state, {"type": "seen", "seen": True})

    def _watch_again(self, entry: Active) -> None:
        """The worker is gone and did not tell the end: another generation goes on where it stopped."""
        generation = entry.state.generation
        if entry.run.worker(generation).exists():
            generation += 1
        if generation > MOST_GENERATIONS:
            text = f"its worker died {MOST_GENERATIONS} times; see {entry.run.worker_log}"
            found = {"status": "Failed", "reason": EndReason.LAUNCH_FAILED.value, "text": text, "guess": True}
            self._end(entry, found)
            return
        if generation != entry.state.generation:
            event = {"type": "worker", "generation": generation}
            entry.state = runs.append(entry.run, entry.state, event)
        grant = read_json_if_there(entry.run.grant) or {}
        entry.handle = self.backend.submit(entry.run, grant, generation=generation)

    def _end(self, entry: Active, found: Any) -> None:
        entry.state = runs.finish(entry.run, entry.state, found)
        entry.spec = runs.read_spec(entry.run)  # with the tags that came meanwhile
        self._index(entry.workspace).put(entry.run, entry.spec, entry.state)
        del self.active[str(entry.run.path)]
        self._refresh_page(entry)

    def _refresh_pages(self) -> None:
        """Keep the pages that somebody has asked for fresh."""
        if time.monotonic() >= self._next_pages:
            self._next_pages = time.monotonic() + PAGE_SECONDS
            for entry in self.active.values():
                self._refresh_page(entry)

    def _refresh_page(self, entry: Active) -> None:
        if not entry.run.page.exists():
            return
        try:
            page.write(entry.run, waiting=self.waiting.get(entry.spec.run_id))
        except (OSError, ValueError, JupyterMLRunError) as problem:
            # a page that cannot be drawn is no reason to lose sight of runs
            print(f"{entry.run.page}: {problem}", file=sys.stderr)

    def _move(self, entry: Active, to: Status, **more: Any) -> None:
        entry.state = runs.move(entry.run, entry.state, to, **more)
        self._index(entry.workspace).put(entry.run, entry.spec, entry.state)

    # ---- starting and stopping -----------------------------------------------------------------------

    def _schedule(self) -> None:
        queued = {e.spec.run_id: e for e in self.active.values() if e.state.status in WAITING}
        leases = [with_end(e.lease, e.spec, e.state) for e in self.active.values() if e.lease is not None]
        decided = self.scheduler.decide([e.spec for e in queued.values()], leases)
        for ask, lease in decided.start:
            slots = self.machine.slots(ask.max_concurrent)
            self._launch(queued[ask.run_id], lease, grant_of(lease, self.machine, str(self.home), slots))
        for run_id, why in self.waiting.items():
            if queued[run_id].state.status is not Status.QUEUED:
                self._move(queued[run_id], Status.QUEUED, note=why)

    def _launch(self, entry: Active, lease: Lease, grant: dict[str, Any]) -> None:
        write_atomic(entry.run.grant, dump_json(grant), sync=False)
        entry.lease = lease
        more = {"note": lease.note} if lease.note else {}
        # the disk is waited for while the worker starts: its claims keep user code from starting twice
        entry.state = runs.move(entry.run, entry.state, Status.STARTING, sync=False, generation=1, **more)
        entry.handle = self.backend.submit(entry.run, grant, generation=1)
        runs.sync_events(entry.run)
        self._index(entry.workspace).put(entry.run, entry.spec, entry.state)

    def stop(self, path: str, by: str) -> None:
        """Stop a run: at once where it waits, by its worker where it has begun; too late is no error."""
        entry = self.active.get(path)
        if entry is None:
            return
        if entry.state.status in WAITING:
            text = f"stopped by {by} while it waited"
            found = {"status": "Canceled", "reason": EndReason.STOPPED.value, "text": text, "ended": time.time()}
            self._end(entry, found)
            return
        write_once(entry.run.stop, dump_json({"by": by, "time": time.time()}))
        if entry.is_interactive:
            # the process is somebody's notebook: the run ends, the process does not
            found = {"status": "Canceled", "reason": EndReason.STOPPED.value, "text": f"stopped by {by}"}
            self._end(entry, read_json_if_there(entry.run.exit) or dict(found, ended=time.time()))
            return
        if entry.state.status is not Status.CANCEL_REQUESTED:
            self._move(entry, Status.CANCEL_REQUESTED, by=by)
        if entry.handle is not None:
            self.backend.cancel(entry.handle)

    def expect(self, what: dict[str, Any]) -> None:
        """Have a process ready for the runs that *what* (of a request of kind "warm") announces."""
        machine = self.machine
        gpus = machine.visible(what.get("visible_gpus"))[: machine.gpu_count("auto", what.get("visible_gpus"))]
        lease = Lease("", tuple(gpu.uuid for gpu in gpus), 0, 0)
        slots = machine.slots(int(what.get("max_concurrent") or 0))
        try:
            self.pool.expect(what, grant_of(lease, machine, str(self.home), slots))
        except (KeyError, TypeError, AttributeError) as problem:
            print(f"request that cannot be understood: {problem!r}", file=sys.stderr)

    def queue_view(self) -> dict[str, Any]:
        """The queue for people: ``queue.json``."""
        running = [e.spec.run_id for e in self.active.values() if e.lease is not None]
        slots, warm = self.machine.slots(), self.pool.view()
        return {
            "slots": slots,
            "running": sorted(running),
            "waiting": self.waiting,
            "details": self.scheduler.details,
            "warm": warm,
        }
