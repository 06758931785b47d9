"""Out of memory is said where the kernel says it, and only there: a real control group and a real OOM kill (F066)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_mlrun.agent import client
from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.sdk.run import Run
from tests.support import finish, until

LIMIT = 400 << 20
SUBMIT = """
from tests.support import submit_cell
print(submit_cell("x = [bytearray(1 << 20) for _ in range(2000)]").path)
"""


@pytest.fixture
def group(home: Path) -> Iterator[Path]:
    """A control group (version 1) with a memory limit."""
    base = Path("/sys/fs/cgroup/memory")
    if not os.access(base / "cgroup.procs", os.W_OK):
        pytest.skip("the memory control group (version 1) cannot be written here")  # its place under version 2 differs
    made = base / f"jupyter_mlrun-test-{os.getpid()}"
    made.mkdir()
    (made / "memory.limit_in_bytes").write_text(str(LIMIT))
    yield made
    client.stop_agent(home)
    until(lambda: removed(made), "a group can go when its last process has")


def removed(group: Path) -> bool:
    try:
        group.rmdir()
    except OSError:  # a process is in it, or leaves it just now
        return False
    return True


def test_killed_by_the_kernel_for_memory(home: Path, group: Path) -> None:
    def enter() -> None:
        (group / "cgroup.procs").write_text(str(os.getpid()))

    done = subprocess.run(
        [sys.executable, "-c", SUBMIT], preexec_fn=enter, stdout=subprocess.PIPE, check=True, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    state = finish(Run.at(RunDir(done.stdout.strip())))
    assert state.reason is not None
    assert (state.reason.code, state.signal) == ("out_of_memory", 9), state
    assert state.reason.text.startswith("out of memory: the kernel killed it")
    assert state.reason.text.endswith("of 400 MiB")
