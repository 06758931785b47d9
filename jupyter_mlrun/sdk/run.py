"""``Run``: one run, from outside or inside of it.  A handle on a run directory; it keeps no state of its own.

Reads the run directory.  Imports what it needs where it needs it: training scripts import this module.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import Conflict, NotFound, RunFailed
from jupyter_mlrun.worker.context import RunContext

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jupyter_mlrun.records import RunState, Spec
    from jupyter_mlrun.rundir import RunDir
    from jupyter_mlrun.sdk.experiment import Experiment

POLL_SECONDS = 0.1


class Run(RunContext):
    """One run of an experiment.

    ``Run(experiment, run_id)`` is the run with that id; ``Run.get_context()`` is the one we are in.
    Source: ``azureml.core.Run``.
    """

    def __init__(self, experiment: Experiment, run_id: str) -> None:
        from jupyter_mlrun.store import runs

        path = runs.place(experiment.workspace.folder, run_id)
        if not path.is_dir():
            raise NotFound(
                f"no run {run_id!r} in workspace {experiment.workspace.name!r}", hint="jupyter mlrun ps --all"
            )
        super().__init__(str(path))

    @classmethod
    def _of(cls, run_dir: str) -> Run:
        run = cls.__new__(cls)
        RunContext.__init__(run, run_dir)
        return run

    @classmethod
    def at(cls, run: RunDir) -> Run:
        """The run whose directory is *run*."""
        return cls._of(str(run.path))

    # ---- who it is -----------------------------------------------------------------------------------

    @property
    def directory(self) -> RunDir:
        """The run's directory."""
        from jupyter_mlrun.rundir import RunDir

        return RunDir(self._run_dir)

    @property
    def path(self) -> Path:
        """Where the run's files are."""
        return self.directory.path

    @property
    def spec(self) -> Spec:
        """What was asked."""
        from jupyter_mlrun.store import runs

        return runs.read_spec(self.directory)

    @property
    def state(self) -> RunState:
        """What is known of it now."""
        from jupyter_mlrun.store import runs

        return runs.observe(self.directory)

    @property
    def id(self) -> str:
        """``<experiment>_<unix time>_<8 hex>``."""
        return self.spec.run_id

    @property
    def display_name(self) -> str | None:
        """The name given with ``--name``."""
        return self.spec.display_name

    @property
    def experiment(self) -> Experiment:
        """The experiment that it belongs to."""
        from jupyter_mlrun.sdk.experiment import Experiment
        from jupyter_mlrun.sdk.workspace import Workspace

        spec = self.spec
        return Experiment(Workspace(spec.workspace, home=self.home), spec.experiment)

    @property
    def home(self) -> Path:
        """The home that it lives in."""
        return self.path.parents[3]

    @property
    def tags(self) -> dict[str, str]:
        """The tags given with ``--tag``."""
        return dict(self.spec.tags)

    # ---- how it goes -----------------------------------------------------------------------------------

    @property
    def status(self) -> str:
        """The status now, one of the reference's."""
        return str(self.state.shown)

    def get_status(self) -> str:
        """The status now, one of the reference's."""
        return self.status

    def get_details(self) -> dict[str, Any]:
        """Everything known, with the reference's keys; attributes work too (``details.status``)."""
        spec, state = self.spec, self.state
        details = Details(
            runId=spec.run_id,
            target=spec.target,
            status=str(state.shown),
            startTimeUtc=_utc(state.started),
            properties={"ContentSnapshotId": (spec.snapshot or {}).get("id", "")},
            inputDatasets=[],
            outputDatasets=[],
            runDefinition={
                "script": spec.script,
                "arguments": spec.arguments,
                "command": spec.command,
                "target": spec.target,
                "environment": spec.environment,
                "parameters": {name: p["value"] for name, p in spec.parameters.items()},
            },
            logFiles={name: str(self.path / name) for name in self.get_file_names() if _is_log(name)},
            submittedBy=spec.created_by.get("user"),
        )
        if state.ended is not None:
            details["endTimeUtc"] = _utc(state.ended)
        if state.reason is not None and str(state.status) != "Completed":
            details["error"] = {"code": state.reason.code, "message": state.reason.text, "exitCode": state.exit_code}
        return details

    def get_portal_url(self) -> str:
        """Where to look at the run: its own page."""
        from jupyter_mlrun.ui import page

        page.write(self.directory)
        return self.directory.page.as_uri()

    def get_metrics(self, name: str | None = None) -> dict[str, Any]:
        """``{name: value}`` of what was logged: one point is its value, several are a list.

        Args:
            name: only this metric; an unknown one gives ``{}``.
        """
        from jupyter_mlrun.store import series

        found = series.metrics(self.directory.metrics)
        return found if name is None else {key: value for key, value in found.items() if key == name}

    def get_file_names(self) -> list[str]:
        """The run's files, as paths relative to its directory."""
        found: list[str] = []
        for top in ("azureml-logs", "logs", "outputs", "user_logs"):
            for folder, _, files in os.walk(self.path / top):
                names = (os.path.relpath(os.path.join(folder, file), self.path) for file in files)
                found.extend(name for name in names if not name.endswith(".index.jsonl"))
        return sorted(found)

    def get_all_logs(self) -> list[str]:
        """The paths of the run's log files."""
        return [str(self.path / name) for name in self.get_file_names() if _is_log(name)]

    # ---- what can be done --------------------------------------------------------------------------------

    def wait_for_completion(self, show_output: bool = False, raise_on_error: bool = True) -> dict[str, Any]:
        """Wait until the run has ended; with *show_output* its log is printed as it grows.

        Ctrl-C detaches: the run goes on.  Raises ``RunFailed`` for a run that failed (with its reason, exit
        code and last log lines), unless *raise_on_error* is False.
        """
        from jupyter_mlrun.sdk.follow import follow

        try:
            state = follow(self, sys.stdout if show_output else None)
        except KeyboardInterrupt:
            print(f"\ndetached: run {self.id} goes on; follow it with: jupyter mlrun logs -f {self.id}")
            raise
        if raise_on_error and str(state.status) == "Failed":
            raise self._failure(state)
        return self.get_details()

    def _failure(self, state: RunState) -> RunFailed:
        reason = state.reason.text if state.reason else "for an unknown reason"
        lines = "\n".join(f"    {line}" for line in state.last_lines[-20:])
        return RunFailed(
            f"run {self.id} failed: {reason}" + (f"\n  last lines of its log:\n{lines}" if lines else ""),
            hint=f"everything it left is in {self.path}",
        )

    def cancel(self) -> None:
        """Ask for the run to be stopped, with everything that it started; too late is no error."""
        import getpass

        from jupyter_mlrun.agent import client

        client.ensure_agent(self.home)
        client.request(self.home, {"kind": "stop", "path": self._run_dir, "by": getpass.getuser()}, wait=30)

    def delete(self) -> None:
        """Remove the run and everything it left.  Raises ``Conflict`` while it is active."""
        from jupyter_mlrun.store import runs
        from jupyter_mlrun.store.home import WorkspaceDir

        state = self.state
        if not state.is_over:
            raise Conflict(f"run {self.id} is {state.shown}", hint=f"stop it first: jupyter mlrun stop {self.id}")
        runs.trash(WorkspaceDir(self.home, self.spec.workspace), self.directory)

    def rerun(self) -> Run:
        """Submit the same again, with the variables' values of this process."""
        from jupyter_mlrun.sdk.submit import rerun

        return rerun(self)

    def download_file(self, name: str, output_file_path: str | None = None) -> str:
        """Copy one of the run's files here; returns where it is now.

        Raises ``NotFound`` that lists the files there are.
        """
        import shutil

        names = self.get_file_names()
        if name not in names:
            raise NotFound(f"run {self.id} has no file {name!r}", hint="it has: " + (", ".join(names[:20]) or "none"))
        target = output_file_path or os.path.basename(name)
        if os.path.isdir(target):
            target = os.path.join(target, os.path.basename(name))
        os.makedirs(os.path.dirname(os.path.abspath(target)), exist_ok=True)
        return str(shutil.copy2(self.path / name, target))

    # ---- how it looks ------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        if not os.path.isdir(self._run_dir):
            return f"Run({self._run_dir!r}: removed)"
        spec = self.spec
        return f"Run(Experiment: {spec.experiment},\nId: {spec.run_id},\nType: {spec.kind},\nStatus: {self.status})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and other._run_dir == self._run_dir

    def __hash__(self) -> int:
        return hash(self._run_dir)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        from jupyter_mlrun.ui import view

        if not os.path.isdir(self._run_dir):
            return {"text/plain": repr(self)}
        return view.bundle(self.directory)


class Details(dict[str, Any]):
    """A dict whose keys are attributes too: documents of the reference use both."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def listed(rows: Any) -> Iterator[Run]:
    """Runs of listing lines."""
    from jupyter_mlrun.rundir import RunDir

    for row in rows:
        yield Run.at(RunDir(row.path))


def _is_log(name: str) -> bool:
    return name.startswith(("user_logs/", "azureml-logs/", "logs/"))


def _utc(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    from datetime import datetime, timezone

    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
