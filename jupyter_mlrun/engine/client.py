"""Executes the cells of a notebook in a kernel, and says in words how each ended.

Reads the kernel's messages; writes the run's log through ``journal``, and starts the kernel.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from queue import Empty
from typing import TYPE_CHECKING, Any

import zmq
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellExecutionComplete, CellExecutionError, CellTimeoutError, DeadKernelError
from papermill.clientwrap import PapermillNotebookClient

from jupyter_mlrun.engine.outputs import Room, for_log
from jupyter_mlrun.worker import process

if TYPE_CHECKING:
    from jupyter_mlrun.engine.journal import Journal

KERNEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "kernel.py")
QUEUED = 64  # messages that wait here; the kernel keeps the rest
LOOK_EVERY = 0.2  # seconds between two looks whether the kernel lives
PATIENCE = 600  # seconds for the last output of a cell that is over, in a flood
EXIT_PATIENCE = 30.0  # seconds for what the kernel does at its exit


class OwnKernel(KernelSpecManager):  # type: ignore[misc,unused-ignore]
    """Every name means this interpreter: a run's Python needs no kernelspec."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """The kernel of this interpreter."""
        del kernel_name
        argv = [sys.executable, KERNEL, "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python", language="python")


class Client(PapermillNotebookClient):  # type: ignore[misc,unused-ignore]
    """papermill's client with a kernel that dies in words, bounded outputs and a log."""

    def __init__(self, manager: Any, journal: Journal, *, own_kernel: bool, grace: float, **more: Any) -> None:
        super().__init__(
            manager, **{"iopub_timeout": PATIENCE, "shell_timeout_interval": 1, **more}
        )  # papermill says after 4 s that a flood has no end
        self.journal, self.own_kernel, self.grace = journal, own_kernel, grace
        self.stop_by: float | None = None  # when the kernel has had its time after a SIGTERM
        self.process: Any = None
        self._folder: str | None = None
        self._room = Room()
        self._left = False
        self._oom_before = process.oom_kills()

    # ---- the kernel ----------------------------------------------------------------------------------------

    def create_kernel_manager(self) -> Any:
        """The kernel that the notebook names, or this interpreter's own, spoken to in a private folder."""
        if not self.own_kernel:
            self.km = AsyncKernelManager(kernel_name=self.kernel_name, config=self.config)
        else:
            self._folder = tempfile.mkdtemp(prefix="mlr-k-")
            self.km = AsyncKernelManager(
                kernel_name="python3",
                kernel_spec_manager=OwnKernel(),
                connection_file=os.path.join(self._folder, "kernel.json"),
                transport="ipc",  # ports of TCP may be taken between their choice and their use
            )
        self.km.shutdown_wait_time = EXIT_PATIENCE
        self.km.context.setsockopt(zmq.RCVHWM, QUEUED)
        return self.km

    def execute(self, **more: Any) -> Any:
        """Execute every cell.  Raises ``DeadKernelError`` for a kernel that does not start, or dies."""
        self.reset_execution_trackers()
        streams = {"stdin": subprocess.DEVNULL, "stdout": self.journal.log, "stderr": self.journal.log}
        try:
            self.km = self.create_kernel_manager()
            self._start({**streams, **more})
            try:
                self.papermill_execute_cells()
                self.set_widgets_metadata()
            finally:
                self._end()
        finally:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
        return self.nb

    def _start(self, how: dict[str, Any]) -> None:
        try:
            self.start_new_kernel(**how)
            self.process = getattr(self.km.provisioner, "process", None)
            self.start_new_kernel_client()
            info = self.wait_for_reply(self.kc.kernel_info())
        except (RuntimeError, NoSuchKernel, OSError) as problem:
            why = self._death() or str(problem)
            self.journal.fail(f"the kernel did not start: {why}")
            self._end()
            raise DeadKernelError(self.journal.failure) from problem
        self.nb.metadata["language_info"] = info["content"]["language_info"]

    def _end(self) -> None:
        if self.km is None:
            return
        if self.stop_by is not None or self.journal.failure is not None:
            self.shutdown_kernel = "immediate"
        self._cleanup_kernel()

    def _death(self) -> str | None:
        """How the kernel died, in words; None while it lives."""
        code = self.process.poll() if self.process is not None else None
        if code is None:
            return None
        if code >= 0:
            return f"exit code {code}"
        if -code != signal.SIGKILL:
            return signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        after = process.oom_kills()
        memory = after is not None and self._oom_before is not None and after > self._oom_before
        return "SIGKILL: out of memory" if memory else "SIGKILL"

    def tell_kernel(self, number: int) -> None:
        """Send a signal to a kernel that lives."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    async def _async_poll_kernel_alive(self) -> None:
        """Notice at once when the kernel is gone, and end one that does not go when it was told to."""
        while self._death() is None:
            if self.stop_by is not None:
                self.nb_man.save()  # the worker may end this process, too, before there is another chance
                if time.monotonic() > self.stop_by:
                    await self.km.signal_kernel(signal.SIGKILL)
            await asyncio.sleep(LOOK_EVERY)
            if self.process is None:
                await super()._async_poll_kernel_alive()
                return
        if self.task_poll_for_reply is not None:
            self.task_poll_for_reply.cancel()

    # ---- the cells -----------------------------------------------------------------------------------------

    def papermill_execute_cells(self) -> None:
        """Execute cell after cell until one fails, dies or leaves."""
        for index, cell in enumerate(self.nb.cells):
            self.nb_man.cell_start(cell, index)
            try:
                self._execute(cell, index)
            except CellExecutionError as problem:
                if not self._leaves(index, problem.ename, problem.evalue):
                    self.nb_man.cell_exception(cell, cell_index=index, exception=problem)
                return
            except BaseException as problem:
                self.nb_man.cell_exception(cell, cell_index=index, exception=problem)
                self._ended_badly(index, cell, problem)
                raise
            finally:
                self.nb_man.cell_complete(cell, cell_index=index)
            if self._left:
                self._leaves(index, "SystemExit", "0")
                return

    def _execute(self, cell: Any, index: int) -> None:
        code = self._runs(cell)
        if code:
            self._room.reset()
            self.journal.cell(index, self.code_cells_executed + 1)
        try:
            self.execute_cell(cell, index)
        except DeadKernelError:
            self._drain(cell, index)
            raise
        if code:
            error = next((one.ename for one in cell.outputs if one.output_type == "error"), None)
            self.journal.cell_end(index, "ok", cell.execution_count, error)

    def _runs(self, cell: Any) -> bool:
        tags = cell.metadata.get("tags", [])
        return bool(cell.cell_type == "code" and cell.source.strip() and self.skip_cells_with_tag not in tags)

    async def _check_raise_for_error(self, cell: Any, cell_index: int, exec_reply: Any) -> None:
        content = (exec_reply or {}).get("content", {})
        # `exit` and `quit` of IPython are no errors, and end the kernel after the cell
        asked = [one for one in content.get("payload") or [] if one.get("source") == "ask_exit"]
        self._left = any(not one.get("keepkernel") for one in asked)
        await super()._check_raise_for_error(cell, cell_index, exec_reply)

    def _leaves(self, index: int, name: str, value: str) -> bool:
        """A cell raised; whether it left in peace: ``sys.exit(0)`` does, as in a script."""
        cell, where = self.nb.cells[index], self.journal.name_of(index)
        if name == "SystemExit" and value in ("", "0", "None"):
            self.journal.left_early = True
            self.journal.cell_end(index, "exit", cell.execution_count)
            self.journal.say_line(f"jupyter_mlrun: {where} called sys.exit(): the cells after it are not executed")
            return True
        self.journal.cell_end(index, "error", cell.execution_count, name)
        if name == "SystemExit":
            code = int(value) & 0xFF if value.lstrip("-").isdigit() else 1
            self.journal.fail(f"{where} called sys.exit({value})", code or 1)
        elif name == "StdinNotImplementedError":
            self.journal.fail(f"{where} asked for input, and nobody is there to answer: use a parameter instead")
        else:
            first = value.splitlines()[0] if value.strip() else ""
            self.journal.fail(f"{where} raised {name}{': ' if first else ''}{first}")
        return False

    def _ended_badly(self, index: int, cell: Any, problem: BaseException) -> None:
        where = self.journal.name_of(index)
        if isinstance(problem, DeadKernelError):
            self.journal.cell_end(index, "died", cell.execution_count)
            self.journal.fail(f"the kernel died in {where} ({self._death() or 'it does not answer'})")
        elif isinstance(problem, CellTimeoutError):
            self.journal.cell_end(index, "error", cell.execution_count, "TimeoutError")
            self.journal.fail(f"{where} took longer than its time limit")
        else:
            self.journal.cell_end(index, "error", cell.execution_count, type(problem).__name__)
            self.journal.fail(f"{where}: {type(problem).__name__}: {problem}".rstrip(": "))

    def _drain(self, cell: Any, index: int) -> None:
        """Take what a dead kernel said before its end."""
        asyncio.get_event_loop_policy().get_event_loop().run_until_complete(self._take_all(cell, index))

    async def _take_all(self, cell: Any, index: int) -> None:
        while True:
            try:
                message = await self.kc.iopub_channel.get_msg(timeout=0.1)
                self.process_message(message, cell, index)
            except (Empty, CellExecutionComplete):
                return

    # ---- their outputs -------------------------------------------------------------------------------------

    def output(self, outs: list[Any], msg: dict[str, Any], display_id: str | None, cell_index: int) -> Any:
        """Keep an output, as far as there is room; show it in the log."""
        if self.clear_before_next_output:
            self._room.reset()
        self.journal.say(for_log(msg, streams=not self.own_kernel))
        if not self._room.admit(msg):
            notice = self._room.notice()
            if notice is None:
                return None
            msg = {**msg, "msg_type": "stream", "header": {**msg["header"], "msg_type": "stream"}}
            msg["content"], display_id = {"name": "stderr", "text": notice}, None
        made = super().output(outs, msg, display_id, cell_index)
        if made is not None and made.output_type == "stream" and len(outs) > 1:
            _join(outs)
        return made

    def clear_output(self, outs: list[Any], msg: dict[str, Any], cell_index: int) -> None:
        """What is cleared makes room."""
        super().clear_output(outs, msg, cell_index)
        if not outs:
            self._room.reset()


def _join(outs: list[Any]) -> None:
    """Make the last two outputs one where both are of one stream."""
    before, last = outs[-2:]
    if before.output_type == "stream" and before.name == last.name:
        before["text"] += last["text"]
        outs.pop()
