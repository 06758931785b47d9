"""A real kernel: interrupted, restarted, shut down and killed under a live run (F071-F073); its output (F074)."""

from __future__ import annotations

import os
import queue
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.store.index import listing
from jupyter_mlrun.worker.process import Patience
from tests.support import PATIENCE, finish, kill_agent, kill_worker, log_of, running, until

OURS = "application/vnd.jupyter-mlrun.run+json"

# goes on when the gate opens, so that whatever happens to the kernel happens while the run is live
CELL = """
import os, time
from jupyter_mlrun import log
print("begun", flush=True)
while not os.path.exists({gate!r}):
    time.sleep(0.01)
for i in range(20):
    log("loss", 1 / (i + 1), step=i)
    print("step", i, flush=True)
"""
WHOLE = ["begun", *(f"step {i}" for i in range(20))]
Message = dict[str, Any]
HELLO = {"type": "hello", "view": "v", "have": None, "buckets": 300}


class Kernel:
    """A kernel and a client that keeps every message of its outputs."""

    def __init__(self, folder: Path, sockets: Path) -> None:
        # ports of TCP may be taken between their choice and their use
        place = Path(tempfile.mkdtemp(prefix="k-", dir=sockets)) / "kernel.json"
        self.manager = KernelManager(kernel_name="python3", transport="ipc", connection_file=str(place))
        self.manager.start_kernel(cwd=str(folder))
        self.client: BlockingKernelClient
        self.seen: list[Message] = []
        self.connect()

    @property
    def pid(self) -> int:
        """The kernel's process."""
        provisioner: Any = self.manager.provisioner
        return int(provisioner.pid)

    def connect(self) -> None:
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=None)  # it raises where the kernel has died

    def hear(self, good: Callable[[Message], Any], what: str) -> Message:
        """The next message of its outputs that is *good*; each is kept in ``seen``."""
        patience = Patience(PATIENCE)
        while not patience.over():
            try:
                message: Message = self.client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            self.seen.append(message)
            if good(message):
                return message
        raise AssertionError(f"never: {what}; the last: {self.seen[-3:]}")

    def execute(self, code: str, *, meanwhile: Callable[[], None] | None = None) -> list[Message]:
        """The messages of the cell *code*; *meanwhile* is called once it has said something."""
        asked = self.client.execute(code)
        found: list[Message] = []
        while True:
            message = self.hear(lambda one: one["parent_header"].get("msg_id") == asked, f"the end of {code!r}")
            found.append(message)
            if meanwhile is not None and message["msg_type"] == "display_data":
                meanwhile()
                meanwhile = None
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return found

    def say(self, code: str) -> str:
        """What a cell printed; fails where it raised."""
        messages = self.execute(code)
        assert not errors(messages), errors(messages)
        return "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream")

    def updates(self, display_id: str, until_seen: str) -> list[str]:
        """The HTML of the updates of a display, up to the first that has *until_seen*."""

        def is_of_it(message: Message) -> bool:
            kind, content = message["msg_type"], message["content"]
            of_it = kind in {"display_data", "update_display_data"}
            return of_it and content.get("transient", {}).get("display_id") == display_id

        # some may have come while the cell ran
        found = [message["content"]["data"]["text/html"] for message in self.seen if is_of_it(message)]
        while not found or until_seen not in found[-1]:
            message = self.hear(is_of_it, f"an update that says {until_seen!r}")
            found.append(message["content"]["data"]["text/html"])
        return found

    def end(self) -> None:
        self.client.stop_channels()
        if self.manager.has_kernel:
            self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


def errors(messages: list[Message]) -> list[str]:
    """The names and texts of what was raised."""
    return [f"{m['content']['ename']}: {m['content']['evalue']}" for m in messages if m["msg_type"] == "error"]


@pytest.fixture
def kernel(home: Path, tmp_path: Path, socket_folder: Path) -> Iterator[Kernel]:
    assert not home.exists()
    folder = tmp_path / "notebooks"
    folder.mkdir()
    made = Kernel(folder, socket_folder)
    try:
        made.say("%load_ext jupyter_mlrun")
        yield made
    finally:
        made.end()


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


def the_run(home: Path) -> Run:
    """The only run there is."""
    (row,) = listing(WorkspaceDir(home, "default"))
    return Run.at(RunDir(row.path))


def submitted(kernel: Kernel, home: Path, gate: Path) -> Run:
    """The run of a cell, once its code has begun."""
    messages = kernel.execute(f"%%submit\n{CELL.format(gate=str(gate))}")
    assert not errors(messages), errors(messages)
    run = running(the_run(home))
    until(lambda: "begun" in log_of(run), "its first line")
    return run


def completes(run: Run, gate: Path) -> None:
    """Open the gate; the run completes with all that it said."""
    gate.touch()
    state = finish(run)
    assert str(state.status) == "Completed", state.reason
    assert log_of(run).splitlines() == WHOLE
    assert run.get_metrics()["loss"] == [1 / (i + 1) for i in range(20)]


def offspring(pid: int) -> list[psutil.Process]:
    """Every process below *pid* now."""
    return psutil.Process(pid).children(recursive=True)


def interrupt(kernel: Kernel, run: Run) -> None:
    kernel.manager.interrupt_kernel()
    assert kernel.say("print(_run.id)").split() == [run.id]


def restart(kernel: Kernel, run: Run) -> None:
    kernel.client.stop_channels()
    kernel.manager.restart_kernel(now=False)
    kernel.connect()


def shut_down(kernel: Kernel, run: Run) -> None:
    kernel.manager.shutdown_kernel(now=True)


def kill(kernel: Kernel, run: Run) -> None:
    os.kill(kernel.pid, signal.SIGKILL)


def kill_all_three(kernel: Kernel, run: Run) -> None:
    os.killpg(os.getpgid(kernel.pid), signal.SIGKILL)
    kill_agent(run.home)
    kill_worker(run)


@pytest.mark.parametrize("blow", [interrupt, restart, shut_down, kill, kill_all_three])
def test_a_run_outlives_what_happens_to_its_kernel(
    kernel: Kernel, home: Path, gate: Path, blow: Callable[[Kernel, Run], None]
) -> None:
    run = submitted(kernel, home, gate)
    below = offspring(kernel.pid)
    blow(kernel, run)
    if blow is not interrupt:
        # nothing that the kernel started stays behind
        _, alive = psutil.wait_procs(below, timeout=PATIENCE)
        assert not alive, alive
    completes(run, gate)
    assert the_run(home) == run


def test_interrupt_while_waiting_detaches(kernel: Kernel, home: Path, gate: Path) -> None:
    def stop_waiting() -> None:
        run = running(the_run(home))
        until(lambda: "begun" in log_of(run), "its first line")
        kernel.manager.interrupt_kernel()

    messages = kernel.execute(f"%%submit -b\n{CELL.format(gate=str(gate))}", meanwhile=stop_waiting)
    assert not errors(messages), errors(messages)
    said = "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream")
    assert "goes on" in said or "detach" in said.lower(), said
    completes(the_run(home), gate)


def test_output_is_html_that_follows_the_run_to_its_end(kernel: Kernel, home: Path, gate: Path) -> None:
    messages = kernel.execute(f"%%submit\n{CELL.format(gate=str(gate))}")
    view, shown = [m["content"] for m in messages if m["msg_type"] == "display_data"]
    assert set(view["data"]) == {"text/plain", "application/vnd.jupyter.widget-view+json", OURS}
    tell(kernel, comm_of_view(messages), HELLO)
    display_id = shown["transient"]["display_id"]
    assert set(shown["data"]) == {"text/plain", "text/html", OURS}
    assert "<script" not in shown["data"]["text/html"]
    kernel.updates(display_id, "Running")
    gate.touch()
    last = kernel.updates(display_id, "Completed")[-1]
    assert "<svg" in last
    assert "step 19" in last
    completes(the_run(home), gate)
    # it is over: the thread that looked after the display is gone
    threads = "import threading, time\nfor _ in range(400):\n"
    threads += "    left = [t.name for t in threading.enumerate() if 'mlrun' in t.name]\n"
    threads += "    if not left: break\n    time.sleep(0.1)\nprint(left)"
    assert kernel.say(threads).strip() == "[]"


def frames_until(kernel: Kernel, good: Callable[[Any], Any], what: str) -> list[Any]:
    """The live view's messages up to the first that is *good*."""
    found: list[Any] = []

    def is_of_it(message: Message) -> bool:
        data = message["content"].get("data", {}) if message["msg_type"] == "comm_msg" else {}
        return bool(data.get("method") == "custom")

    while not found or not good(found[-1]):
        found.append(kernel.hear(is_of_it, what)["content"]["data"]["content"])
    return found


def comm_of_view(messages: list[Message]) -> str:
    """The comm of the live view that a cell opened."""
    opened = [m["content"] for m in messages if m["msg_type"] == "comm_open"]
    (comm_id,) = [str(one["comm_id"]) for one in opened if "view" in one["data"]["state"]]
    return comm_id


def tell(kernel: Kernel, comm_id: str, content: dict[str, Any]) -> None:
    """Say something as the view in the page would."""
    data = {"comm_id": comm_id, "data": {"method": "custom", "content": content}}
    kernel.client.shell_channel.send(kernel.client.session.msg("comm_msg", data))


def test_the_view_goes_on_while_the_kernel_is_busy(kernel: Kernel, home: Path, gate: Path, tmp_path: Path) -> None:
    run = submitted(kernel, home, gate)
    free = tmp_path / "free"
    kernel.client.execute(f"import os, time\nwhile not os.path.exists({str(free)!r}): time.sleep(0.01)")
    gate.touch()
    seen = frames_until(kernel, lambda f: any(s["count"] == 20 for s in f["series"]), "all points")
    seen += frames_until(kernel, lambda f: f.get("run", {}).get("status") == "Completed", "the end")
    if not any(frame["full"] for frame in seen):
        frames_until(kernel, lambda f: f["full"], "everything anew, for a page that comes up late")
    free.touch()
    completes(run, gate)


def test_the_view_is_answered_and_its_button_stops_the_run(kernel: Kernel, home: Path, gate: Path) -> None:
    messages = kernel.execute(f"%%submit\n{CELL.format(gate=str(gate))}")
    comm_id = comm_of_view(messages)
    run = running(the_run(home))
    tell(kernel, comm_id, HELLO)
    tell(kernel, comm_id, {"type": "lines", "ask": 1, "from": 0, "to": 10})
    frames_until(kernel, lambda f: f["type"] == "lines", "an answer")
    tell(kernel, comm_id, {"type": "command", "ask": 2, "name": "stop"})
    (*_, done) = frames_until(kernel, lambda f: f["type"] == "done", "stopped")
    assert done == {"type": "done", "ask": 2, "error": None}
    assert str(finish(run).status) == "Canceled"


def test_loaded_twice_and_reloaded_is_once(kernel: Kernel, home: Path) -> None:
    kernel.say("%load_ext jupyter_mlrun")
    kernel.say("%reload_ext jupyter_mlrun")
    kernel.say("%load_ext autoreload\n%autoreload 2")
    kernel.say("%reload_ext jupyter_mlrun")
    count = "[type(c).__name__ for c in get_ipython().configurables if 'MLRun' in type(c).__name__]"
    assert kernel.say(f"print(sorted({count}))").strip() == "['JupyterMLRun', 'MLRunMagics']"
    messages = kernel.execute("%%submit\nprint('once')")
    assert not errors(messages), errors(messages)
    assert len([m for m in messages if m["msg_type"] == "display_data"]) == 2, "the view, and what is saved"
    run = the_run(home)
    assert str(finish(run).status) == "Completed"
    assert log_of(run).split() == ["once"]


def test_submitted_and_waited_for_inside_the_kernels_event_loop(kernel: Kernel, home: Path) -> None:
    code = "import asyncio\nasync def go():\n    assert asyncio.get_running_loop().is_running()\n"
    code += "    get_ipython().run_cell_magic('submit', '', \"print('from a loop')\")\n"
    code += "    _run.wait_for_completion()\n    return _run.get_status()\nprint('it is', await go())"
    assert "it is Completed" in kernel.say(code)
    assert log_of(the_run(home)).split() == ["from", "a", "loop"]
