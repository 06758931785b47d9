"""The worker of one run: prepare, launch, watch, finish.  One process near the compute, needing no installation.

Started as ``python -I -S -c … RUN_DIR GENERATION SOCKET``.  Reads ``spec.json``, ``grant.json``,
``stop.json``; writes ``worker-<g>.json``, the working folder, logs' indexes and ``exit.json``.  A second
generation goes on where a killed one stopped: it adopts ranks that run, and starts them only if none ever did.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import sys
import time
import traceback
from typing import Any, Dict, List, Optional, Set, Tuple

from ..rundir import (
    RunDir,
    dump_json,
    make_folder,
    read_json,
    read_json_if_there,
    remove_if_there,
    write_all,
    write_once,
)
from ..states import EndReason, Status
from . import finish, launch, limits, process, unpack
from .inputs import Inputs
from .logwatch import DEFAULT_LIMIT, LogWatch, can_punch
from .preamble import Preamble, arguments
from .relay import Relay
from .sampling import Sampler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .forked import Image

SYNC_EVERY = 2.0
PATIENCE = 1.5  # seconds between two words about an input that takes long
SLOWEST, FASTEST = 0.5, 0.02
TOLD_SECONDS = 30.0  # for the agent to write down how a rank ended


class Worker:
    """What one generation of a run's worker knows."""

    def __init__(self, run_dir: str, generation: int, wake: str, image: Optional[Image] = None) -> None:
        self.image = image  # of the fork server that this worker came from
        self.run = RunDir(run_dir)
        self.spec: Dict[str, Any] = read_json(self.run.spec)
        self.grant: Dict[str, Any] = read_json_if_there(self.run.grant) or {}
        self.generation, self.wake_path = generation, wake
        self.count = int(self.spec["resources"]["procs"])
        self.pids: Dict[int, Dict[str, Any]] = {}  # rank -> who
        self.own: Set[int] = set()  # ranks that are our children
        self.ends: Dict[int, Dict[str, Any]] = {}
        self.watches: List[LogWatch] = []
        self.relays: List[Relay] = []
        self.inputs = Inputs(self.spec, self.run)
        self.preamble = Preamble(wanted=bool(self.spec.get("preamble")))
        self.facts: Dict[str, Any] = {}
        self.limit = int(self.spec["limits"].get("max_log_bytes") or DEFAULT_LIMIT)
        self.grace = float(self.spec["limits"].get("stop_grace", 10.0))
        self.oom_before = process.oom_kills()
        self.agent = os.getppid()
        self._parents: Dict[int, Optional[int]] = {}  # of the ranks that were adopted, as last seen
        self.sampler = Sampler(self.run, self.grant.get("gpus") or ())
        self._next_sync = self._next_sample = self._next_word = 0.0
        self._wake_reader, self._wake_writer = os.pipe()

    # ---- prepare and launch -------------------------------------------------------------------------

    def claim(self) -> bool:
        """Become the run's worker of this generation; False when another process is."""
        who = dict(process.identity(), generation=self.generation, started=time.time())
        return write_once(self.run.worker(self.generation), dump_json(who), sync=False)

    def listen(self) -> None:
        """Wake from sleep when a child ends or somebody asks us to stop."""
        for fd in (self._wake_reader, self._wake_writer):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_term)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        process.become_subreaper()

    def _on_term(self, *_: object) -> None:
        if not self.run.stop.exists():
            self.facts.setdefault("stopped_by", "a SIGTERM from outside")

    def prepare(self) -> None:
        """Make the working folder anew; a half-made one of an earlier generation goes."""
        shutil.rmtree(self.run.work, ignore_errors=True)
        snapshot = self.spec.get("snapshot")
        if snapshot:
            unpack.materialise(self.spec["objects"], snapshot["id"], str(self.run.work))
        else:
            make_folder(self.run.work)
        launch.link_kept_folders(self.run)
        shutil.rmtree(self.run.inputs, ignore_errors=True)
        self._next_word = time.monotonic() + PATIENCE
        self.inputs.bring(self.preamble.say, self._tell_progress)

    def _tell_progress(self, name: str, there: int, count: int) -> None:
        """Where an input takes long, the log says so while it does, and not only when the run begins."""
        now = time.monotonic()
        if now < self._next_word:
            return
        self._next_word = now + PATIENCE
        self.preamble.say(f"Preparing '{name}': {there:,} of {count:,} files.")
        text = self.preamble.take()
        for rank in range(self.count if text else 0):
            self._log(text, rank)

    def start_ranks(self) -> None:
        """Start every rank; their output goes straight to their logs wherever those can have holes."""
        self.grant.setdefault("port", launch.free_port())
        straight = can_punch(str(self.run.user_logs))
        for rank in range(self.count):
            env = launch.rank_environment(self.spec, self.run, self.grant, rank)
            env.update(self.inputs.variables())
            given = arguments(self.spec, self.inputs.paths, env)
            if rank == 0:
                self.preamble.call(self.spec, str(self.run.work), given)
            relay = None
            if not straight:
                relay = Relay(launch.open_log(self.run, rank, self.count), self.limit)
                self.relays.append(relay)
            command = launch.command_of(self.spec, rank, given)
            output = relay.writer if relay else None
            image, way = self._way(env, relay)
            pid = launch.start_rank(self.run, self.spec, rank, env, command, self.preamble, output, image, way)
            if relay:
                relay.start()
            self.pids[rank] = {"pid": pid}
            self.own.add(rank)
        if self.image is not None:
            self.image.let_go()
        self._wait_for_claims()
        remove_if_there(self.run.environment)
        self.wake_agent()

    def _way(self, env: Dict[str, str], relay: Optional[Relay]) -> Tuple[Optional[Image], str]:
        """Whether a rank is a fork of this process, and in words for its claim."""
        if self.image is None:
            return None, ""
        why = "its log goes through a pipe" if relay else self.image.obstacle(self.spec, env, str(self.run.work))
        return (None, f"cold: {why}") if why else (self.image, "warm")

    def _wait_for_claims(self) -> None:
        """The variables' file may go only when every rank has become itself (or is gone)."""
        while True:
            gone = process.reap()
            if all(self.run.rank(r).exists() or self.pids[r]["pid"] in gone for r in self.own):
                return
            select.select([self._wake_reader], [], [], 0.002)

    def adopt(self) -> None:
        """Take over ranks that an earlier generation started."""
        for rank in range(self.count):
            who = read_json_if_there(self.run.rank(rank))
            if who is None:  # the kill came between two starts: the run cannot be whole any more
                self.ends[rank] = {"rank": rank, "exit_code": None, "signal": None, "unseen": True}
            else:
                self.pids[rank] = who
        self.inputs.adopt()
        remove_if_there(self.run.environment)

    def watch_logs(self) -> None:
        """Begin to watch each log that goes straight to its file."""
        if self.relays:
            return
        for rank in range(self.count):
            os.close(launch.open_log(self.run, rank, self.count))
            self.watches.append(
                LogWatch(str(self.run.log(rank, self.count)), str(self.run.log_index(rank, self.count)), self.limit)
            )

    # ---- watch -------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Until every rank has ended: keep logs in bounds, obey stop and time limit, see ends."""
        pause = FASTEST
        self.facts["memory_limit"] = limits.memory()  # dozens of files: not while the run waits for its start
        deadline = self._deadline()
        while len(self.ends) < self.count:
            grown = sum(watch.look() for watch in self.watches)
            pause = FASTEST if grown > (1 << 20) else min(SLOWEST, pause * 1.5)
            self._sample()
            self.see_ends()
            if self.asked_to_stop():
                self.end_ranks()
            elif deadline is not None and time.monotonic() >= deadline:
                self.facts["time_limit"] = float(self.spec["resources"]["time"])
                self.end_ranks()
            elif self.ends and any(end.get("exit_code") != 0 for end in self.ends.values()):
                self.end_ranks()  # one rank failed: the others would wait for it for ever
            if len(self.ends) < self.count:
                self._sleep(pause, deadline)

    def _deadline(self) -> Optional[float]:
        limit = self.spec["resources"].get("time")
        if not limit:
            return None
        started = [who["monotonic"] for who in map(self._claim_of, range(self.count)) if who]
        return (min(started) if started else time.monotonic()) + float(limit)

    def _claim_of(self, rank: int) -> Optional[Dict[str, Any]]:
        found: Optional[Dict[str, Any]] = read_json_if_there(self.run.rank(rank))
        return found

    def _sleep(self, pause: float, deadline: Optional[float]) -> None:
        if deadline is not None:
            pause = max(0.0, min(pause, deadline - time.monotonic()))
        if select.select([self._wake_reader], [], [], pause)[0]:
            os.read(self._wake_reader, 4096)

    def asked_to_stop(self) -> bool:
        """Whether somebody wants the run to end; remembers who."""
        request = read_json_if_there(self.run.stop)
        if request is not None:
            self.facts["stopped_by"] = request.get("by") or "its user"
        return self.facts.get("stopped_by") is not None

    def see_ends(self) -> None:
        """Note each rank that has ended since the last look."""
        reaped = process.reap()
        for rank, who in self.pids.items():
            if rank in self.ends:
                continue
            if rank in self.own and who["pid"] in reaped:
                status, usage = reaped[who["pid"]]
                if self._was_started_before(rank, status):
                    continue
                end = dict(finish.rank_end(status), max_rss=usage.ru_maxrss * 1024)
                end["not_started"] = not self.run.rank_exit(rank).exists()
            elif rank not in self.own:
                self._parents[rank] = process.parent_of(who["pid"]) or self._parents.get(rank)
                if process.is_alive(who):
                    continue
                end = self._end_of_adopted(rank)
            else:
                continue
            said = read_json_if_there(self.run.rank_exit(rank)) or {}
            self.ends[rank] = dict(end, rank=rank, ended=time.time(), error=said.get("error"))

    def _was_started_before(self, rank: int, status: int) -> bool:
        """Whether a child of a killed generation became the rank while ours was starting: adopt it."""
        claim = self._claim_of(rank)
        if claim is None or claim["pid"] == self.pids[rank]["pid"]:
            return False
        if not os.WIFEXITED(status) or os.WEXITSTATUS(status) != launch.ALREADY_RUNS:
            return False
        self.own.discard(rank)
        self.pids[rank] = claim
        return True

    def _end_of_adopted(self, rank: int) -> Dict[str, Any]:
        """The best witness: the agent that reaped it, else the rank's own note, else nobody."""
        # where the agent that started us is its parent, that has seen or will see how it ended
        patience = process.Patience(TOLD_SECONDS if self._parents.get(rank) == self.agent else 1.0)
        while not patience.over():
            reaped = read_json_if_there(self.run.reaped(rank))
            if reaped is not None:
                return finish.rank_end(int(reaped["status"]))
            if self.run.rank_exit(rank).exists():
                break
            time.sleep(0.02)
        said = read_json_if_there(self.run.rank_exit(rank))
        if said is not None:
            return {"exit_code": said["exit_code"], "signal": None}
        rebooted = self.pids[rank]["boot"] != process.boot_id()
        return {"exit_code": None, "signal": None, "unseen": True, "rebooted": rebooted}

    def members(self) -> Set[int]:
        """Every living process of this run."""
        roots = {who["pid"] for rank, who in self.pids.items() if rank in self.own or process.is_alive(who)}
        return process.members(self.spec["run_id"], roots | process.children_of(os.getpid()))

    def end_ranks(self) -> None:
        """End the whole tree: SIGTERM, the grace period, SIGKILL."""
        self.facts["signalled"] = True
        process.end_tree(self.members, self.grace)
        self.see_ends()

    def _sample(self) -> None:
        now = time.monotonic()
        if now >= self._next_sample:
            self._next_sample = now + 1.0
            used = process.memory_of(who["pid"] for rank, who in self.pids.items() if rank not in self.ends)
            if used:
                self.facts["memory"] = used
        self.sampler.look(who["pid"] for rank, who in self.pids.items() if rank not in self.ends)
        if now >= self._next_sync:
            self._next_sync = now + SYNC_EVERY
            self._sync()

    def _sync(self) -> None:
        """Bring what was logged to the disk: the run itself never waits for that."""
        for watch in self.watches:
            watch.sync()
        for entry in os.scandir(self.run.metrics):
            fd = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fdatasync(fd)
            finally:
                os.close(fd)

    # ---- finish ------------------------------------------------------------------------------------

    def finish(self) -> None:
        """End what is left over, and say how it ended."""
        left = process.end_tree(self.members, 2.0)
        self.sampler.close()
        self.note_harm()
        for relay in self.relays:
            relay.finish()
        self._sync_quietly()
        for watch in self.watches:
            watch.close()
        after = process.oom_kills()
        if after is not None and self.oom_before is not None and after > self.oom_before:
            self.facts["oom_killed"] = True
        ends = [self.ends[rank] for rank in sorted(self.ends)]
        found = finish.verdict(ends, self.facts)
        finish.keep_replaced_folders(self.run)
        explains = finish.worst(ends)
        started = [who["started"] for who in map(self._claim_of, range(self.count)) if who]
        more = {"ranks": ends, "left_over": left, "log_rank": explains["rank"], "memory": self.facts.get("memory")}
        if started:
            more["started"] = min(started)
        if "harmed_inputs" in self.facts:
            more["harmed_inputs"] = self.facts["harmed_inputs"]
        finish.write_exit(self.run, self.spec, found, more)
        self.wake_agent()
        finish.clear_work(self.run)

    def note_harm(self) -> None:
        """Say what the run changed of its inputs; the next run gets them as they were."""
        harmed = self.inputs.finish()
        for name, paths in harmed.items():
            text = f"the run changed its input {name!r} ({', '.join(paths)}); what is stored is as it was"
            self._log(f"jupyter_mlrun: {text}\n")
        if harmed:
            self.facts["harmed_inputs"] = harmed

    def _sync_quietly(self) -> None:
        try:
            self._sync()
        except OSError as problem:
            # the end must be told even on a sick disk; the worker's own log keeps why
            print(f"cannot sync: {problem}", file=sys.stderr)

    def wake_agent(self) -> None:
        """Tell the agent that something moved; it looks by itself if this is lost."""
        if not self.wake_path:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
            bell.setblocking(False)
            try:
                bell.sendto(self.spec["run_id"].encode(), self.wake_path)
            except OSError:
                return

    def stopped_before_start(self) -> None:
        """A stop came before user code was reached."""
        text = f"stopped by {self.facts['stopped_by']} before it began"
        found = {"status": Status.CANCELED, "reason": EndReason.STOPPED, "text": text, "exit_code": None}
        self._end_without_ranks(found)

    def cannot_start(self, problem: BaseException) -> None:
        """Preparing failed: the run ends with the reason, before user code was reached."""
        text = f"cannot be started: {type(problem).__name__}: {problem}".splitlines()[0]
        found = {"status": Status.FAILED, "reason": EndReason.LAUNCH_FAILED, "text": text, "exit_code": None}
        self.preamble.say(f"jupyter_mlrun: the run {text}")
        try:
            self._log(self.preamble.text())
        except OSError as unwritten:
            # the reason is told in exit.json, too
            print(f"cannot write the log: {unwritten}", file=sys.stderr)
        self._end_without_ranks(found)

    def _log(self, text: str, rank: int = 0) -> None:
        """Add to the log that people look at."""
        fd = launch.open_log(self.run, rank, self.count)
        try:
            write_all(fd, text.encode("utf-8", "backslashreplace"))
        finally:
            os.close(fd)

    def _end_without_ranks(self, found: Dict[str, Any]) -> None:
        self.inputs.finish()
        finish.write_exit(self.run, self.spec, dict(found, signal=None, guess=False), {"ranks": []})
        self.wake_agent()
        finish.clear_work(self.run)


def main(argv: Optional[List[str]] = None, image: Optional[Image] = None) -> int:
    """Run one worker; the exit code is of interest to nobody but its log."""
    run_dir, generation, wake = (sys.argv[1:] if argv is None else argv)[:3]
    worker = Worker(run_dir, int(generation), wake, image)
    if worker.run.exit.exists() or not worker.claim():
        return launch.ALREADY_RUNS
    worker.listen()
    if any(worker.run.rank(rank).exists() for rank in range(worker.count)):
        worker.adopt()
    else:
        try:
            if worker.asked_to_stop():
                worker.stopped_before_start()
                return 0
            worker.prepare()
            worker.start_ranks()
        except Exception as problem:
            traceback.print_exc()
            worker.cannot_start(problem)
            return 1
    worker.watch_logs()
    worker.watch()
    worker.finish()
    return 0
