"""papermill's engine ``jupyter_mlrun``: ``papermill --engine jupyter_mlrun IN.ipynb OUT.ipynb`` is a run.

Reads the variables of the run that this process belongs to; writes through ``journal`` and ``saving``.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nbclient.exceptions import DeadKernelError
from papermill.engines import NBClientEngine
from papermill.log import logger

from jupyter_mlrun.engine.client import Client
from jupyter_mlrun.engine.manager import Manager
from jupyter_mlrun.engine.recording import recorded
from jupyter_mlrun.engine.saving import Saving
from jupyter_mlrun.rundir import RunDir, read_json_if_there

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jupyter_mlrun.engine.journal import Journal

START_TIMEOUT = 300


def language_of(metadata: Mapping[str, Any]) -> str:
    """The language of a notebook with this metadata; Python where it says none."""
    kernel, told = metadata.get("kernelspec", {}), metadata.get("language_info", {})
    return str(kernel.get("language") or told.get("name") or "python")


def is_python(metadata: Mapping[str, Any]) -> bool:
    """Whether this interpreter can be the kernel of a notebook with this metadata."""
    return language_of(metadata).lower() in {"python", "ipython"}


class Engine(NBClientEngine):  # type: ignore[misc,unused-ignore]
    """Executes a notebook as a run, or as a part of the run that this process belongs to."""

    @classmethod
    def nb_kernel_name(cls, nb: Any, name: str | None = None) -> str:
        """The kernel that is asked for; where none is, this interpreter."""
        return name or str(nb.metadata.get("kernelspec", {}).get("name") or "python3")

    @classmethod
    def nb_language(cls, nb: Any, language: str | None = None) -> str:
        """The notebook's language; Python where it says none."""
        return language or language_of(nb.metadata)

    @classmethod
    def execute_notebook(
        cls,
        nb: Any,
        kernel_name: str,
        output_path: str | None = None,
        progress_bar: bool | dict[str, Any] = True,
        log_output: bool = False,
        autosave_cell_every: int = 30,
        journal: Journal | None = None,
        **more: Any,
    ) -> Any:
        """Execute *nb*; what it is then, saved at *output_path* after each cell and however it ends.

        Raises ``DeadKernelError`` for a kernel that died, ``StoreError`` where *output_path* cannot be written.
        """
        given = more.get("input_path")
        name = os.path.basename(given if isinstance(given, str) else output_path or "notebook.ipynb")
        saving = Saving(output_path)
        with recorded(journal, name, saving) as told:
            manager = Manager(
                nb, told, saving, progress_bar=progress_bar, log_output=log_output,
                autosave_cell_every=autosave_cell_every,
            )  # fmt: skip
            told.begin(nb.cells, name)
            manager.notebook_start()
            try:
                cls.execute_managed_notebook(manager, kernel_name, log_output=log_output, **more)
            except DeadKernelError as problem:
                # papermill's own words for it name no cell
                raise DeadKernelError(told.failure) from problem
            finally:
                manager.notebook_complete()
                told.end()
        if told.stopped:
            _end_by_sigterm()
        return manager.nb

    @classmethod
    def execute_managed_notebook(cls, nb_man: Manager, kernel_name: str, **more: Any) -> Any:
        """Execute the cells of a notebook that is being recorded."""
        own = is_python(nb_man.nb.metadata)
        limit = more.get("execution_timeout") or more.get("timeout")
        client = Client(
            nb_man, nb_man.journal, own_kernel=own, grace=_grace(), kernel_name=kernel_name, log=logger,
            timeout=limit, startup_timeout=max(int(more.get("start_timeout") or 0), START_TIMEOUT),
            **{key: more[key] for key in ("log_output", "stdout_file", "stderr_file") if more.get(key)},
        )  # fmt: skip
        with _on_sigterm(nb_man, client):
            try:
                return client.execute()
            except DeadKernelError:
                if not nb_man.journal.stopped:
                    raise
                return nb_man.nb


def _grace() -> float:
    """Seconds that a kernel gets between SIGTERM and its end."""
    run_dir = os.environ.get("JUPYTER_MLRUN_RUN_DIR")
    spec = (read_json_if_there(RunDir(run_dir).spec) if run_dir else None) or {}
    return float(spec.get("limits", {}).get("stop_grace", 10.0))


@contextmanager
def _on_sigterm(manager: Manager, client: Client) -> Iterator[None]:
    """While the notebook runs, SIGTERM saves it and lets the kernel end; then it ends this process."""
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    def stop(*_: object) -> None:
        manager.journal.stopped = True
        if client.stop_by is None:
            client.stop_by = time.monotonic() + client.grace
            manager.journal.fail("stopped by SIGTERM")
            if not manager.journal.inside:
                # a run's worker tells the whole tree by itself
                client.tell_kernel(signal.SIGTERM)
        manager.save()

    if ours:
        signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end_by_sigterm() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
