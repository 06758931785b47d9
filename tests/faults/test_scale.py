"""Many writers, one home: nothing lost, ids unique, one agent; a long queue costs one process (F003, F008, F021)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psutil
import pytest

from jupyter_mlrun.agent import client
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.store.index import listing
from tests.support import PATIENCE, finish, running, submit_cell, until

SUBMITTER = """
import json, sys
from tests.support import submit_cell
cell = "from jupyter_mlrun import log\\nlog('x', 1)\\nprint('ok')"
print(json.dumps([submit_cell(cell, max_concurrent=8).id for _ in range(int(sys.argv[1]))]))
"""
ROOT = Path(__file__).parents[2]


def agents(home: Path) -> list[int]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if "jupyter_mlrun.agent" in line and str(home) in line:
            found.append(process.pid)
    return found


@pytest.mark.parametrize(
    ("kernels", "each"), [(4, 3), pytest.param(8, 25, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
)
def test_many_submitters_one_home(home: Path, kernels: int, each: int) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", SUBMITTER, str(each)], stdout=subprocess.PIPE, cwd=ROOT, text=True)
        for _ in range(kernels)
    ]
    ids = [run_id for process in started for run_id in json.loads(process.communicate()[0])]
    assert len(set(ids)) == kernels * each
    place = WorkspaceDir(home, "default")

    def all_over() -> bool:
        rows = listing(place)
        return len(rows) == kernels * each and all(row.over for row in rows)

    client.sync(home)
    until(all_over, "every run is over")
    rows = listing(place)
    assert {row.run_id for row in rows} == set(ids)
    assert Counter(row.status for row in rows) == {"Completed": kernels * each}
    until(lambda: len(agents(home)) == 1, "one agent: a second one would stay")


def test_a_hundred_starters_make_one_agent(home: Path) -> None:
    code = f"from pathlib import Path; from jupyter_mlrun.agent import client; client.ensure_agent(Path({str(home)!r}))"
    started = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) for _ in range(20)]
    assert [process.wait() for process in started] == [0] * 20
    until(lambda: len(agents(home)) == 1, "one agent: a second one would stay")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_thousand_queued_runs_cost_one_agent(home: Path) -> None:
    first = running(submit_cell("import time\ntime.sleep(3600)", max_concurrent=1))
    made = [submit_cell("pass", max_concurrent=1) for _ in range(1000)]
    client.sync(home, wait=2 * PATIENCE)
    who = client.agent_of(home)
    assert who is not None
    agent = psutil.Process(who["pid"])
    assert agent.memory_info().rss < 100e6
    assert len(agent.children(recursive=True)) < 20
    waiting = client.queue_of(home)["waiting"]
    assert len(waiting) == 1000
    assert waiting[made[-1].id].startswith("999 ahead of it")
    made[500].cancel()
    assert str(finish(made[500]).status) == "Canceled"
    first.cancel()
    finish(first)
