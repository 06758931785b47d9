"""Who starts, and what the others are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from jupyter_mlrun.agent import reasons, schedule
from jupyter_mlrun.agent.queue import Ask, Lease, Plan, plan
from jupyter_mlrun.backends.machine import Gpu, Machine
from jupyter_mlrun.errors import BadInput
from jupyter_mlrun.records import Resources, Spec

CPU = Machine(cores=4, memory=8 << 30)
GPUS = Machine(cores=16, memory=64 << 30, gpus=tuple(Gpu(f"GPU-{i:04d}", "H100", 80 << 30) for i in range(2)))


def ask(name: str, order: float = 0.0, **wants: object) -> Ask:
    rest = {k: wants.pop(k) for k in ("visible_gpus", "max_concurrent") if k in wants}
    return Ask(name, Resources(**wants), order=(order,), **rest)  # type: ignore[arg-type]


def test_first_come_first_served() -> None:
    found = plan([ask("c", 3), ask("a", 1), ask("b", 2)], [], CPU)
    assert [a.run_id for a, _ in found.start] == ["a", "b"]
    assert "2 of 2 are taken (a, b)" in found.waiting["c"]
    assert "a submit with JUPYTER_MLRUN_MAX_CONCURRENT=3 " in found.waiting["c"]


def test_the_second_in_the_queue_hears_who_is_ahead() -> None:
    held = [Lease("x"), Lease("y")]
    found = plan([ask("a", 1), ask("b", 2)], held, CPU)
    assert found.waiting["b"].startswith("1 ahead of it in the queue")


def test_the_newest_submission_sets_the_limit() -> None:
    held = [Lease("x")]
    assert not plan([ask("a", 1, max_concurrent=1)], held, CPU).start
    found = plan([ask("a", 1, max_concurrent=1), ask("b", 2, max_concurrent=3)], held, CPU)
    assert [a.run_id for a, _ in found.start] == ["a", "b"]


def test_max_concurrent_is_obeyed() -> None:
    assert len(plan([ask(str(i), i, max_concurrent=3) for i in range(5)], [], CPU).start) == 3


def test_gpus_are_leased_by_uuid_and_never_twice() -> None:
    found = plan([ask("a", 1), ask("b", 2), ask("c", 3)], [], GPUS)
    assert [lease.gpus for _, lease in found.start] == [("GPU-0000",), ("GPU-0001",)]
    assert "--gpus 0 would start it now" in found.waiting["c"]


def test_a_run_without_gpu_does_not_wait_behind_one_that_waits_for_a_gpu() -> None:
    held = [Lease("x", ("GPU-0000", "GPU-0001"))]
    found = plan([ask("a", 1, gpus=1), ask("b", 2, gpus=0)], held, GPUS)
    assert [(a.run_id, lease.gpus) for a, lease in found.start] == [("b", ())]


@pytest.mark.parametrize(
    ("tokens", "seen"),
    [(None, 2), ([], 0), (["1"], 1), (["GPU-0001"], 1), (["GPU-0"], 0), (["7", "0"], 0), (["0", "7", "1"], 1)],
)
def test_never_a_gpu_outside_the_submitters_own(tokens: list[str] | None, seen: int) -> None:
    assert len(GPUS.visible(tokens)) == seen
    found = plan([ask("a", gpus="all", visible_gpus=tokens)], [], GPUS)
    assert set(found.start[0][1].gpus) <= {gpu.uuid for gpu in GPUS.visible(tokens)}


@pytest.mark.parametrize(
    ("wants", "words"),
    [
        ({"gpus": 3}, "--gpus asks for 3 GPUs; the local compute has 2"),
        ({"cpus": 17}, "--cpus asks for 17 CPU cores; the local compute has 16"),
        ({"nodes": 2}, "-n asks for 2 nodes; the local compute has 1"),
    ],
)
def test_more_than_there_is_fails_with_what_there_is(wants: dict[str, int], words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        GPUS.check(Resources(**wants), None)
    assert "16 CPU cores, 64 GiB of memory, H100, H100" in str(caught.value)


def test_reserved_cores_and_memory_are_kept() -> None:
    held = [Lease("x", (), 3, 7 << 30)]
    assert "waiting for 2 CPU cores: 1 of 4 are free" in plan([ask("a", cpus=2)], held, CPU).waiting["a"]
    assert (
        "waiting for 2.15 GB of memory: 1.07 GB of 8.59 GB are free (x); --memory 1073MB would start it now"
        in plan([ask("a", memory=2 << 30)], held, CPU).waiting["a"]
    )


def test_more_memory_than_there_is() -> None:
    with pytest.raises(BadInput, match=r"--memory asks for 9\.66 GB; the local compute has 8\.59 GB"):
        CPU.check(Resources(memory=9 << 30), None)


def test_the_same_as_data() -> None:
    found = plan([ask("a", 1), ask("b", 2), ask("c", 3)], [Lease("x"), Lease("y")], CPU)
    assert reasons.details(found.waits[1]) == {
        "lane": "cpu", "position": 2, "of": 3, "place": "2nd of 3", "first": "a", "waits_for": "slots",
        "cure": None, "by": None,
    }  # fmt: skip


def test_it_says_by_when_it_is_expected_to_start() -> None:
    held = [Lease("x", until=2e9), Lease("y")]
    found = plan([ask("a", 1)], held, CPU, now=1e9)
    assert found.waits[0].by == 2e9
    assert found.waiting["a"].endswith(f"; expected to start by {reasons.clock(2e9)}")


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (113, "113th"), (121, "121st")],
)
def test_ordinals(number: int, text: str) -> None:
    assert reasons.ordinal(number) == text


def test_a_queue_in_which_nothing_changed_is_not_worked_through_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def counted(asks: Sequence[Ask], *rest: Any, **more: Any) -> Plan:
        asked.append(len(asks))
        return plan(asks, *rest, **more)

    monkeypatch.setattr(schedule, "plan", counted)
    monkeypatch.setattr(schedule, "AGAIN_SECONDS", 1e9)  # however long the next lines take
    scheduler = schedule.Scheduler(CPU)
    specs = [Spec(f"r{n}", "e", "w", float(n), {}, "script", None, [], None, "", {}) for n in range(3)]
    held = [Lease("x"), Lease("y")]
    for leases in (held, held, held[:1]):
        started = scheduler.decide(specs, leases, now=10.0).start
    assert asked == [3, 3]
    assert [found.run_id for found, _ in started] == ["r0"]
    assert scheduler.waiting.keys() == scheduler.details.keys() == {"r1", "r2"}
    assert not scheduler.decide([], held).start
    assert (len(scheduler.waiting), len(scheduler.details)) == (0, 0)
