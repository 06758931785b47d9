"""``RunHandle``: what a run is, says and left, read from its directory.  ``Run`` adds what can be done with it.

Reads the run directory; writes copies of its files.  Imports what it needs where it needs it.
"""

from __future__ import annotations

import os
import warnings

from jupyter_mlrun.errors import BadInput, Conflict, JupyterMLRunError, NotFound
from jupyter_mlrun.worker.context import RunContext

TYPE_CHECKING = False  # as in run.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any, NoReturn

    from jupyter_mlrun.records import RunState, Spec
    from jupyter_mlrun.rundir import RunDir
    from jupyter_mlrun.sdk.environments import Environment
    from jupyter_mlrun.sdk.run_details import Details
    from jupyter_mlrun.sdk.workspace import Workspace
    from jupyter_mlrun.store.home import WorkspaceDir


class RunHandle(RunContext):
    """A run seen from outside."""

    _directory: RunDir | None = None

    # ---- who it is -----------------------------------------------------------------------------------

    @property
    def directory(self) -> RunDir:
        """The run's directory."""
        from jupyter_mlrun.rundir import RunDir

        if self._directory is None:
            self._directory = RunDir(self._run_dir)
        return self._directory

    @property
    def path(self) -> Path:
        """Where the run's files are."""
        return self.directory.path

    @property
    def spec(self) -> Spec:
        """What was asked, with what was said of it since."""
        from jupyter_mlrun.store import runs

        return runs.read_spec(self.directory)

    @property
    def state(self) -> RunState:
        """What is known of it now."""
        from jupyter_mlrun.store import runs

        return runs.observe(self.directory)

    @property
    def name(self) -> str:
        """The name given to it, else its id.  Source: ``azureml.core.Run.name``."""
        return self.display_name or self.id

    @property
    def display_name(self) -> str | None:
        """The name given with ``--name``, or since."""
        return self.spec.display_name

    @display_name.setter
    def display_name(self, display_name: str) -> None:
        self._annotate(display_name=_text(display_name, "a run's name"))

    @property
    def description(self) -> str | None:
        """What somebody wrote about it."""
        found: str | None = self._said().get("description")
        return found

    @description.setter
    def description(self, description: str) -> None:
        self._annotate(description=_text(description, "a description"))

    @property
    def type(self) -> str | None:
        """``azureml.scriptrun``, as in the reference; None for an interactive run."""
        from jupyter_mlrun.sdk.run_details import type_of

        return type_of(self.spec)

    @property
    def number(self) -> int:
        """Which run of its experiment it is, from 1."""
        from jupyter_mlrun.store.index import listing

        ids = [row.run_id for row in listing(self._place, experiment=self.spec.experiment)]
        return len(ids) - ids.index(self.id)

    @property
    def home(self) -> Path:
        """The home that it lives in."""
        return self.path.parents[3]

    @property
    def _workspace(self) -> Workspace:
        from jupyter_mlrun.sdk.workspace import Workspace

        return Workspace(self.path.parents[2].name, home=self.home)

    @property
    def _place(self) -> WorkspaceDir:
        return self._workspace.folder

    # ---- how it goes -----------------------------------------------------------------------------------

    @property
    def status(self) -> str:
        """The status now, one of the reference's."""
        return str(self.state.shown)

    def get_status(self) -> str:
        """The status now, one of the reference's."""
        return self.status

    def get_detailed_status(self) -> dict[str, Any]:
        """The status with why it is so, and what it waits for where it waits."""
        from jupyter_mlrun.agent import client

        state = self.state
        waits = None if state.is_over else client.queue_of(self.home)["waiting"].get(self.id)
        return {"status": str(state.shown), "details": state.reason.text if state.reason else waits or state.note}

    def get_details(self) -> Details:
        """Everything known, with the reference's keys; attributes work too (``details.status``)."""
        from jupyter_mlrun.sdk import run_details

        return run_details.of(self)

    def get_details_with_logs(self) -> Details:
        """``get_details()`` with the text of each log in ``logFiles``."""
        from jupyter_mlrun.sdk import run_details

        found = run_details.of(self)
        found["logFiles"] = run_details.logs(self)
        return found

    def get_environment(self) -> Environment:
        """The environment it ran in: the interpreter, by the name that was recorded."""
        from jupyter_mlrun.sdk.environments import Environment

        recorded = self.spec.environment
        found = Environment(str(recorded.get("name") or "environment"))
        found.python.user_managed_dependencies = True
        found.python.interpreter_path = str(recorded["python"])
        return found

    def get_portal_url(self) -> str:
        """Where to look at the run: its page on a running Jupyter server of ours, else a file of its own.

        The file is brought up to date while the run is active; for an interactive run the agent is started for that.
        The address holds no token: the browser must be logged in there.
        """
        from jupyter_mlrun import portal
        from jupyter_mlrun.ui import page

        page.write(self.directory)
        if self.spec.kind == "interactive" and not self.state.is_over:
            self._have_followed()
        served = portal.address_of(self.home, self.path.parents[2].name, self.id)
        return served or self.directory.page.as_uri()

    def _have_followed(self) -> None:
        """Have an agent: other runs have one already."""
        from jupyter_mlrun.agent import client

        try:
            client.ensure_agent(self.home)
        except (JupyterMLRunError, OSError) as problem:
            warnings.warn(f"the page of run {self.id} stays as it is now: {problem}", stacklevel=3)

    def _document(self, artifact: str) -> Any:
        from jupyter_mlrun.rundir import read_json

        return read_json(self.directory.artifacts / artifact)

    def get_all_logs(self, destination: str | None = None) -> list[str]:
        """The paths of the run's log files; with *destination*, of copies in that folder."""
        from jupyter_mlrun.sdk.run_details import LOG_TOPS

        names = [name for name in self.get_file_names() if name.startswith(LOG_TOPS)]
        if destination is None:
            return [str(self.path / name) for name in names]
        return [self.download_file(name, os.path.join(destination, name)) for name in names]

    def download_files(
        self,
        prefix: str | None = None,
        output_directory: str | None = None,
        output_paths: Sequence[str] | None = None,
        batch_size: int = 100,  # noqa: ARG002 -- of the service
        append_prefix: bool = True,
        timeout_seconds: float | None = None,  # noqa: ARG002 -- as above
    ) -> list[str]:
        """Copy the files whose names begin with *prefix*; returns where they are.

        Source: ``azureml.core.Run.download_files``.  Raises ``NotFound`` that lists the files there are.

        Args:
            prefix: the beginning of the names, as ``outputs/``; all by default.
            output_directory: where to; here by default.
            output_paths: instead of it a path for each file, in the order of the names.
            append_prefix: whether *prefix* is a part of the paths.
            batch_size: of the reference; without a meaning here.
            timeout_seconds: of the reference; without a meaning here.
        """
        from jupyter_mlrun.sdk.run_files import download

        self._collect()
        return download(self.directory, prefix, output_directory, output_paths, append_prefix=append_prefix)

    def take_snapshot(self, file_or_folder_path: str | os.PathLike[str]) -> str:
        """Keep a snapshot of a file or folder; returns its id.  Source: ``azureml.core.Run.take_snapshot``.

        Raises ``Conflict`` where the run has one already.
        """
        from jupyter_mlrun.sdk.run_interactive import take

        if self.spec.snapshot is not None:
            raise Conflict(f"run {self.id} has a snapshot already", hint="a run has one; upload_folder keeps files")
        taken = take(self._place, file_or_folder_path)
        self._annotate(snapshot=taken)
        return str(taken["id"])

    def get_snapshot_id(self) -> str | None:
        """The id of its snapshot; equal ids are equal files.  None where none was taken."""
        snapshot = self.spec.snapshot
        return None if snapshot is None else str(snapshot["id"])

    def restore_snapshot(self, snapshot_id: str | None = None, path: str | os.PathLike[str] | None = None) -> str:
        """Write a snapshot (default: the run's own) as ``<id>.zip`` into the folder *path*; returns where it is.

        Source: ``azureml.core.Run.restore_snapshot``.
        """
        from jupyter_mlrun.sdk.run_interactive import restore

        wanted = snapshot_id or self.get_snapshot_id()
        if wanted is None:
            raise NotFound(f"run {self.id} has no snapshot", hint="take_snapshot(path) takes one")
        return str(restore(self._place, wanted, path))

    def clean(self) -> None:
        """Remove the run's working copy, where one was left.  Its files stay.  Source: ``azureml.core.Run.clean``."""
        from jupyter_mlrun.worker.finish import clear_work

        if self.state.is_over:
            clear_work(self.directory)

    # ---- what is not here --------------------------------------------------------------------------------

    def get_secret(self, name: str) -> NoReturn:
        """Not here."""
        raise NotImplementedError("Run.get_secret is not here: pass secrets as variables, with --env-var or os.environ")

    def get_secrets(self, secrets: Any) -> NoReturn:
        """Not here."""
        raise NotImplementedError(
            "Run.get_secrets is not here: pass secrets as variables, with --env-var or os.environ"
        )

    @staticmethod
    def add_type_provider(runtype: str, run_factory: Any) -> NoReturn:
        """Not here."""
        raise NotImplementedError("Run.add_type_provider is not here: all runs are Run; use tags to tell them apart")

    def __repr__(self) -> str:
        if not os.path.isdir(self._run_dir):
            return f"Run({self._run_dir!r}: removed)"
        spec = self.spec
        return f"Run(Experiment: {spec.experiment},\nId: {spec.run_id},\nType: {self.type},\nStatus: {self.status})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunHandle) and other._run_dir == self._run_dir

    def __hash__(self) -> int:
        return hash(self._run_dir)

    def _repr_html_(self) -> str:
        from jupyter_mlrun.sdk import run_details

        return run_details.html_of(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        from jupyter_mlrun.ui import view

        if not os.path.isdir(self._run_dir):
            return {"text/plain": repr(self)}
        return view.bundle(self.directory)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise BadInput(f"{what} is text, not {type(value).__name__}")
    return value.encode("utf-8", "replace").decode()
