"""Never more is held than there is, nobody is delayed by back-fill, everybody starts: whatever is submitted."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_mlrun.agent.leases import MARGIN, Ask, GpuUse, Holder, Lease, Room, grant_of, lease_of
from jupyter_mlrun.agent.queue import MOST_TRIED, PRIORITY_SECONDS, order, plan
from jupyter_mlrun.backends.machine import Gpu, Machine
from jupyter_mlrun.errors import BadInput
from jupyter_mlrun.records import Resources

GB = 10**9


@dataclass
class Job:
    """A run of the simulation: when it comes, what it wants, how long it really takes."""

    ask: Ask
    comes: float
    takes: float


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    parts = draw(st.lists(st.sampled_from([False, False, False, True]), max_size=4))
    gpus = tuple(Gpu(f"{'MIG' if part else 'GPU'}-{n}", "card", 8 * GB, part) for n, part in enumerate(parts))
    return Machine(cores=draw(st.integers(1, 12)), memory=draw(st.integers(1, 8)) * GB, gpus=gpus)


@st.composite
def jobs(draw: st.DrawFn, machine: Machine, limit: int) -> list[Job]:
    found = []
    numbers = [str(n) for n in range(len(machine.gpus))]
    for n in range(draw(st.integers(1, 14))):
        tokens = draw(st.none() | st.lists(st.sampled_from(numbers), unique=True)) if numbers else None
        most = machine.together(tokens)
        wants = Resources(
            gpus=draw(st.sampled_from(["auto", "all"]) | st.integers(0, most)),
            cpus=draw(st.none() | st.integers(1, machine.cores)),
            memory=draw(st.none() | st.integers(1, machine.memory // GB).map(lambda count: count * GB)),
            time=draw(st.none() | st.sampled_from([60.0, 300.0, 900.0])),
        )
        comes = float(draw(st.integers(0, 10))) * 60
        takes = draw(st.floats(1, wants.time or 1200.0))
        priority = draw(st.sampled_from([0, 0, 0, 1, 5]))
        ask = Ask(f"r{n}", wants, tokens, limit, order(priority, comes + n * 1e-3))
        found.append(Job(ask, comes, takes))
    return found


@st.composite
def days(draw: st.DrawFn) -> tuple[Machine, int, list[Job]]:
    machine = draw(machines())
    limit = draw(st.sampled_from([0, 0, 1, 2, 5]))
    return machine, limit, draw(jobs(machine, limit))


class Day:
    """The agent's loop without an agent: whoever may start starts, and ends when it ends."""

    def __init__(self, machine: Machine, limit: int, todo: list[Job]) -> None:
        self.machine, self.limit = machine, limit
        self.todo = {job.ask.run_id: job for job in todo}
        self.held: dict[str, Lease] = {}
        self.ends: dict[str, float] = {}
        self.started: dict[str, float] = {}
        self.first: str | None = None
        self.held_at_first: set[str] = set()
        self.promise: float | None = None

    def run(self) -> None:
        now = 0.0
        while self.todo or self.held:
            for run_id in [r for r, end in self.ends.items() if end <= now]:
                del self.ends[run_id], self.held[run_id]
            self.step(now)
            moments = [*self.ends.values(), *(job.comes for job in self.todo.values() if job.comes > now)]
            assert moments or not self.todo, f"nothing runs, and these wait for ever: {sorted(self.todo)}"
            now = min(moments, default=now)

    def step(self, now: float) -> None:
        waiting = {job.ask.run_id: job.ask for job in self.todo.values() if job.comes <= now}
        decided = plan(list(waiting.values()), list(self.held.values()), self.machine, now=now)
        for ask, lease in decided.start:
            if self.first in waiting and ask.order < waiting[self.first].order:
                self.first = None  # a more important one came later and went before it
            self.check_restart(ask, lease)
            self.held[ask.run_id] = lease
            self.started[ask.run_id] = now
            self.ends[ask.run_id] = now + self.todo.pop(ask.run_id).takes
        self.check_room()
        left = [ask for ask in waiting.values() if ask.run_id not in self.held]
        assert {wait.run_id for wait in decided.waits} == {ask.run_id for ask in left} == decided.waiting.keys()
        self.check_first(left, {wait.run_id: wait.by for wait in decided.waits}, now)

    def check_room(self) -> None:
        leases = list(self.held.values())
        assert sum(lease.cpus for lease in leases) <= self.machine.cores
        assert sum(lease.memory for lease in leases) <= self.machine.memory
        gpus = [uuid for lease in leases for uuid in lease.gpus]
        assert len(set(gpus)) == len(gpus)
        if self.limit:
            assert len(leases) <= self.limit
        else:
            assert sum(not lease.gpus for lease in leases) <= self.machine.slots()

    def check_restart(self, ask: Ask, lease: Lease) -> None:
        assert set(lease.gpus) <= {gpu.uuid for gpu in self.machine.visible(ask.visible_gpus)}
        grant = json.loads(json.dumps(grant_of(lease, self.machine, "/home", 2)))
        assert replace(lease_of(ask.run_id, grant, ask.resources), until=lease.until) == lease

    def check_first(self, left: list[Ask], by: dict[str, float | None], now: float) -> None:
        """The first that waits starts as early as those that ran before it let it, or when it was promised to."""
        first = min(left, key=lambda ask: ask.order, default=None)
        if first is None or first.run_id != self.first:
            if self.promise is not None and self.first in self.started:
                assert self.started[self.first] <= self.promise
            self.first, self.promise = None if first is None else first.run_id, None
            self.held_at_first = set(self.held)
        if first is None:
            return
        if self.promise is None or by[first.run_id] is not None:
            latest = by[first.run_id]
            assert self.promise is None or latest is None or latest <= self.promise
            self.promise = latest if self.promise is None else self.promise
        before = [lease for run_id, lease in self.held.items() if run_id in self.held_at_first]
        if isinstance(Room(self.machine, before, self.limit).fit(first), Lease):
            assert self.promise is not None
            assert now <= self.promise


@settings(max_examples=200, deadline=None)
@given(days())
def test_whatever_is_submitted(day: tuple[Machine, int, list[Job]]) -> None:
    machine, limit, todo = day
    for job in todo:
        machine.check(job.ask.resources, job.ask.visible_gpus)
    Day(machine, limit, todo).run()


@settings(max_examples=50, deadline=None)
@given(days())
def test_without_time_limits_the_first_is_never_delayed_at_all(day: tuple[Machine, int, list[Job]]) -> None:
    machine, limit, todo = day
    for job in todo:
        job.ask = replace(job.ask, resources=replace(job.ask.resources, time=None))
    Day(machine, limit, todo).run()


# ---- back-fill -------------------------------------------------------------------------------------------------

BIG = Machine(cores=8, memory=8 * GB)


def ask(name: str, at: float = 0.0, **wants: object) -> Ask:
    rest = {key: wants.pop(key) for key in ("visible_gpus", "free_memory", "submitter") if key in wants}
    priority = float(wants.pop("priority", 0))  # type: ignore[arg-type]
    return Ask(name, Resources(**wants), order=order(priority, at), **rest)  # type: ignore[arg-type]


def started(*asks: Ask, held: list[Lease], machine: Machine = BIG, now: float = 0.0) -> list[str]:
    return [found.run_id for found, _ in plan(asks, held, machine, now=now).start]


def test_a_small_run_goes_ahead_when_it_is_over_before_the_first_can_start() -> None:
    held = [Lease("x", (), 6, 0, until=1000.0)]
    first = ask("first", 1, cpus=8)
    assert started(first, ask("small", 2, cpus=2, time=1000 - MARGIN), held=held) == ["small"]
    assert started(first, ask("small", 2, cpus=2, time=1001 - MARGIN), held=held) == []
    assert started(first, ask("small", 2, cpus=2), held=held) == []


def test_without_known_ends_only_what_the_first_does_not_need_is_given() -> None:
    held = [Lease("x", (), 6)]
    first = ask("first", 1, cpus=8)
    assert started(first, ask("small", 2, cpus=1, time=60), held=held) == []
    assert started(first, ask("small", 2, memory=GB), held=held) == ["small"]


def test_a_run_that_fits_beside_the_first_need_not_wait_for_it() -> None:
    held = [Lease("x", (), 7, until=500.0)]
    assert started(ask("first", 1, cpus=6), ask("small", 2, cpus=1), held=held) == ["small"]
    assert started(ask("first", 1, cpus=8), ask("small", 2, cpus=1), held=held) == []


def test_of_a_run_over_its_time_nothing_is_known() -> None:
    held = [Lease("x", (), 6, until=1000.0)]
    found = plan([ask("first", 1, cpus=8), ask("small", 2, cpus=1, time=60)], held, BIG, now=2000.0)
    assert (found.start, found.waits[0].by) == ([], None)


def test_the_gpu_that_the_first_does_not_see_is_given_first() -> None:
    machine = Machine(16, 64 * GB, tuple(Gpu(f"GPU-{n}", "card", 8 * GB) for n in range(3)))
    held = [Lease("x", ("GPU-1",))]
    first = ask("first", 1, gpus=2, visible_gpus=["0", "1"])
    found = plan([first, ask("other", 2, gpus=1)], held, machine)
    assert [(a.run_id, lease.gpus) for a, lease in found.start] == [("other", ("GPU-2",))]
    assert started(first, ask("other", 2, gpus=1, visible_gpus=["0"]), held=held, machine=machine) == []


def test_two_hundred_runs_that_wait_for_gpus_do_not_hide_the_others() -> None:
    machine = Machine(8, 8 * GB, (Gpu("GPU-0", "card", GB),))
    asks = [ask(f"g{n}", n, gpus=1) for n in range(MOST_TRIED + 50)]
    assert started(*asks, ask("plain", 999, gpus=0), held=[Lease("x", ("GPU-0",))], machine=machine) == ["plain"]


def test_a_higher_priority_goes_first_unless_the_other_has_waited_for_a_day() -> None:
    held = [Lease("x", (), 4)]
    early, late = ask("early", 0, cpus=4), ask("late", PRIORITY_SECONDS - 1, cpus=4, priority=1)
    assert started(early, late, held=held) == ["late"]
    assert started(early, ask("late", PRIORITY_SECONDS + 1, cpus=4, priority=1), held=held) == ["early"]


def test_what_would_start_it_now_is_true() -> None:
    held = [Lease("x", (), 6, until=10_000.0)]
    found = {wait.run_id: wait for wait in plan([ask("a", 1, cpus=8), ask("b", 2, cpus=2)], held, BIG).waits}
    assert (found["a"].cure, found["b"].cure) == ("--cpus 2", f"--time {int((10_000 - MARGIN) // 60)}m")
    assert (found["a"].by, found["b"].position, found["b"].of) == (10_000.0, 2, 2)
    found = {
        wait.run_id: wait for wait in plan([ask("a", 1, cpus=8), ask("b", 2, cpus=2)], [Lease("x", (), 6)], BIG).waits
    }
    assert found["b"].cure == "--priority 1"


# ---- GPUs that others use --------------------------------------------------------------------------------------

TWO = Machine(16, 64 * GB, (Gpu("GPU-a", "card", 80 * GB), Gpu("GPU-b", "card", 80 * GB)))
FULL = GpuUse(80 * GB, 10 * GB, (Holder(4242, 70 * GB, "python", "bob"),))
EMPTY = GpuUse(80 * GB, 79 * GB, (Holder(1, GB),))


def test_a_gpu_that_others_use_is_skipped() -> None:
    found = plan([ask("r", gpus=1)], [], TWO, uses={"GPU-a": FULL, "GPU-b": EMPTY})
    assert found.start[0][1].gpus == ("GPU-b",)


def test_the_reason_names_who_uses_it() -> None:
    found = plan([ask("r", gpus="all")], [], TWO, uses={"GPU-a": FULL, "GPU-b": EMPTY})
    assert found.waiting["r"] == (
        "waiting for 2 GPUs: 1 free (GPU 0 is used by pid 4242 (python, 70 GB) of user bob, 10 GB of 80 GB free); "
        "--gpus 1 would start it now"
    )
    unseen = plan([ask("r", gpus=2)], [], TWO, uses={"GPU-a": GpuUse(80 * GB, 0)}).waiting["r"]
    assert "GPU 0 is used by what cannot be seen from here, 0 B of 80 GB free" in unseen


def test_who_names_the_gpus_gets_them_if_no_other_is_free() -> None:
    found = plan([ask("r", gpus=1, visible_gpus=["0"])], [], TWO, uses={"GPU-a": FULL, "GPU-b": EMPTY})
    assert found.start[0][1].gpus == ("GPU-a",)
    assert found.start[0][1].note == "CUDA_VISIBLE_DEVICES names GPU 0, which others use, too"
    found = plan([ask("r", gpus=1, visible_gpus=["0", "1"])], [], TWO, uses={"GPU-a": FULL, "GPU-b": EMPTY})
    assert (found.start[0][1].gpus, found.start[0][1].note) == (("GPU-b",), "")
    held = [Lease("x", ("GPU-a",))]
    assert plan([ask("r", gpus=1, visible_gpus=["0"])], held, TWO).start == []


def test_the_notebook_that_submits_does_not_stand_in_its_own_way() -> None:
    mine = GpuUse(80 * GB, 60 * GB, (Holder(77, 19 * GB),))
    uses = {"GPU-a": mine, "GPU-b": FULL}
    assert plan([ask("r", gpus=1, submitter=77)], [], TWO, uses=uses).start
    assert not plan([ask("r", gpus=1, submitter=78)], [], TWO, uses=uses).start
    assert plan([ask("r", gpus=1, free_memory=0.0)], [], TWO, uses={"GPU-a": FULL, "GPU-b": FULL}).start


def test_a_driver_that_does_not_tell_memory_is_no_obstacle() -> None:
    assert plan([ask("r", gpus=1)], [], TWO, uses={"GPU-a": GpuUse(), "GPU-b": GpuUse()}).start


def test_a_run_gets_one_mig_part_because_a_process_can_use_one() -> None:
    machine = Machine(16, 64 * GB, tuple(Gpu(f"MIG-{n}", "part", 10 * GB, part=True) for n in range(3)))
    assert plan([ask("r", gpus="all")], [], machine).start[0][1].gpus == ("MIG-0",)
    assert plan([ask("r", gpus=1, visible_gpus=["MIG-2"])], [], machine).start[0][1].gpus == ("MIG-2",)
    with pytest.raises(BadInput, match="--gpus asks for 2 GPUs; the local compute has 1"):
        machine.check(Resources(gpus=2), None)


def test_threads_share_the_cores() -> None:
    assert grant_of(Lease("r", ("GPU-a",)), TWO, "", 4)["threads"] == 8
    assert grant_of(Lease("r"), TWO, "", 4)["threads"] == 4
    assert grant_of(Lease("r", (), 3), TWO, "", 4)["threads"] == 3
