"""``Run``: one run, from outside or inside of it.  A handle on a run directory; it keeps no state of its own.

Reads the run directory.  Imports what it needs where it needs it: training scripts import this module.
"""

from __future__ import annotations

import os
import sys

from jupyter_mlrun.errors import BadInput, Conflict, NotFound, RunFailed, StoreError
from jupyter_mlrun.sdk.run_handle import RunHandle
from jupyter_mlrun.worker.context import InputDatasets as InputDatasets  # noqa: PLC0414 -- the reference has it here
from jupyter_mlrun.worker.context import OutputDatasets as OutputDatasets  # noqa: PLC0414
from jupyter_mlrun.worker.context import RunContext

TYPE_CHECKING = False  # typing costs training scripts some milliseconds
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from jupyter_mlrun.records import RunState
    from jupyter_mlrun.rundir import RunDir
    from jupyter_mlrun.sdk.experiment import Experiment
    from jupyter_mlrun.sdk.model import Model
    from jupyter_mlrun.sdk.run_details import Details
    from jupyter_mlrun.sdk.workspace import Workspace

    Wanted = str | dict[str, Any] | None
    _Names = Sequence[str] | str | None

POLL_SECONDS = 0.1
RUNNING_STATES = [
    "NotStarted", "Queued", "Preparing", "Provisioning", "Starting", "Running", "Unapproved", "NotResponding",
    "Pausing", "Paused",
]  # fmt: skip
POST_PROCESSING_STATES = ["CancelRequested", "Finalizing"]
_OFFLINE = "OfflineRun_"
_Runs = list["Run"]


class Run(RunHandle):
    """One run of an experiment.

    ``Run(experiment, run_id)`` is the run with that id; ``Run.get_context()`` is the one we are in.
    *outputs* and further names of the reference are accepted and have no meaning here.
    Raises ``NotFound`` where there is no such run.  Source: ``azureml.core.Run``.
    """

    def __init__(self, experiment: Experiment, run_id: str, outputs: Any = None, **_: Any) -> None:  # noqa: ARG002
        from jupyter_mlrun.sdk.places import workspace_of

        super().__init__(_folder_of(workspace_of(experiment), run_id))

    @classmethod
    def _of(cls, run_dir: str) -> Run:
        kind = _OfflineRun if os.path.basename(run_dir).startswith(_OFFLINE) else Run
        run = kind.__new__(kind)
        RunContext.__init__(run, run_dir)
        return run

    @classmethod
    def at(cls, run: RunDir) -> Run:
        """The run whose directory is *run*."""
        return cls._of(str(run.path))

    @classmethod
    def _offline(cls) -> Run:
        from jupyter_mlrun.sdk.run_interactive import offline
        from jupyter_mlrun.sdk.workspace import Workspace

        return cls.at(offline(Workspace().folder))

    @staticmethod
    def get(workspace: Workspace, run_id: str) -> Run:
        """The run with this id.  Source: ``azureml.core.Run.get``."""
        return Run._of(_folder_of(workspace, run_id))

    @staticmethod
    def list(
        experiment: Experiment,
        type: str | None = None,  # noqa: A002 -- the reference's name
        tags: Wanted = None,
        properties: Wanted = None,
        status: str | None = None,
        include_children: bool = False,
        _rehydrate_runs: bool = True,
    ) -> Iterator[Run]:
        """The runs of an experiment, newest first.  Source: ``azureml.core.Run.list``."""
        from jupyter_mlrun.sdk.places import workspace_of
        from jupyter_mlrun.sdk.run_list import Filter, find

        asked = Filter(type=type, tags=tags, properties=properties, status=status, children=include_children)
        place = workspace_of(experiment).folder
        return (Run.at(run) for run, _ in find(place, asked, experiment=experiment.name))

    @staticmethod
    def list_by_compute(
        compute: Any,
        type: str | None = None,  # noqa: A002 -- the reference's name
        tags: Wanted = None,
        properties: Wanted = None,
        status: str | None = None,
    ) -> Iterator[Run]:
        """The runs of a compute, newest first.  Source: ``azureml.core.Run.list_by_compute``."""
        from jupyter_mlrun.sdk.run_list import Filter, find

        asked = Filter(type=type, tags=tags, properties=properties, status=status)
        return (Run.at(run) for run, spec in find(compute.workspace.folder, asked) if spec.target == compute.name)

    @property
    def experiment(self) -> Experiment:
        """The experiment that it belongs to."""
        from jupyter_mlrun.sdk.experiment import Experiment

        return Experiment(self._workspace, self.spec.experiment, _create_in_cloud=False)

    # ---- its family ------------------------------------------------------------------------------------

    @property
    def cells(self) -> dict[str, int | None] | None:
        """How far a notebook run is: ``{"done", "total", "current", "failed"}`` in cells; None for other runs."""
        from jupyter_mlrun.store.cells import progress

        return progress(self._run_dir)

    @property
    def parent(self) -> Run | None:
        """The run that this one is a child of."""
        parent = self.spec.parent
        return None if parent is None else Run.get(self._workspace, parent)

    def child_run(self, name: str | None = None, run_id: str | None = None, outputs: Any = None) -> Run:
        """Make a child that this process is too; ``complete()`` ends it.  Source: ``azureml.core.Run.child_run``.

        *outputs*: a folder whose new files the child keeps when it ends.
        """
        from jupyter_mlrun.sdk.run_interactive import start

        experiment, parent = self.spec.experiment, self.id
        return Run.at(start(self._place, experiment, name=name, run_id=run_id, parent=parent, outputs=outputs))

    def create_children(
        self, count: int | None = None, tag_key: str | None = None, tag_values: Iterable[str] | None = None
    ) -> _Runs:
        """Make several children: *count* of them, or one for each of *tag_values*, tagged with it.

        Raises ``BadInput`` unless it is one of the two.  Source: ``azureml.core.Run.create_children``.
        """
        from jupyter_mlrun.sdk.run_interactive import start

        tagged = tag_key is not None and tag_values is not None
        if (count is not None) == tagged or (not tagged and (tag_key, tag_values) != (None, None)):
            raise BadInput("create_children takes count, or tag_key with tag_values", hint="give one of the two")
        if isinstance(count, int) and count < 1:
            raise BadInput(f"create_children makes one child or more, not {count}")
        given: list[dict[str, str]] = [{}] * (count or 0)
        if tagged:
            given = [{str(tag_key): str(value)} for value in tag_values or ()]
        spec = self.spec
        return [Run.at(start(self._place, spec.experiment, parent=spec.run_id, tags=tags)) for tags in given]

    def submit_child(self, config: Any, tags: dict[str, str] | None = None, **_: Any) -> Run:
        """Submit *config* as a child of this run.  Source: ``azureml.core.Run.submit_child``."""
        return self.experiment.submit(config, tags, _parent=self.id)

    def get_children(
        self,
        recursive: bool = False,
        tags: Wanted = None,
        properties: Wanted = None,
        type: str | None = None,  # noqa: A002 -- the reference's name
        status: str | None = None,
        _rehydrate_runs: bool = True,
    ) -> Iterator[Run]:
        """The children, newest first; *recursive*: theirs too, each after its parent.

        Source: ``azureml.core.Run.get_children``.
        """
        from jupyter_mlrun.sdk.run_list import Filter, children

        asked = Filter(type=type, tags=tags, properties=properties, status=status)
        return (Run.at(run) for run, _ in children(self._place, self.spec, asked, recursive=recursive))

    # ---- what it left --------------------------------------------------------------------------------------

    def get_metrics(
        self, name: str | None = None, recursive: bool = False, run_type: str | None = None, populate: bool = False
    ) -> dict[str, Any]:
        """What was logged, by name: one point is its value, several are a list; a row or table is a dict.

        Source: ``azureml.core.Run.get_metrics``.

        Args:
            name: only this metric; an unknown one gives ``{}``.
            recursive: of this run and all below it, as ``{run id: {name: value}}``.
            run_type: with *recursive*, only of runs of this type.
            populate: the documents of charts in place of their addresses.
        """
        if recursive:
            below = list(self.get_children(recursive=True))
            kinds = (run_type, None) if run_type is None else (run_type,)
            chosen = [run for run in [self, *below] if run_type is None or run.type in kinds]
            return {run.id: run.get_metrics(name, populate=populate) for run in chosen}
        from jupyter_mlrun.store import forms

        return forms.metrics(self.directory.metrics, name, self._document if populate else None)

    # ---- what can be done --------------------------------------------------------------------------------

    def wait_for_completion(
        self,
        show_output: bool = False,
        wait_post_processing: bool = False,  # noqa: ARG002 -- ours takes no time
        raise_on_error: bool = True,
    ) -> Details:
        """Wait until the run has ended; with *show_output* its log is printed as it grows.

        Ctrl-C detaches: the run goes on.  Raises ``RunFailed`` for a run that failed (with its reason, exit
        code and last log lines), unless *raise_on_error* is False, and ``Conflict`` in the run itself.
        """
        from jupyter_mlrun.sdk.follow import follow

        self._check_is_another()
        try:
            state = follow(self, sys.stdout if show_output else None)
        except KeyboardInterrupt:
            print(detached(self.id))
            raise
        views = sys.modules.get("jupyter_mlrun.ui.widget")
        if views is not None:  # where the run is shown, its end stands there before the next cell
            views.pump.settle(self.path)
        if raise_on_error and str(state.status) == "Failed":
            raise self._failure(state)
        return self.get_details()

    def _check_is_another(self) -> None:
        from jupyter_mlrun.worker import ending

        if not self.state.is_over and (self._inside or ending.is_own_interactive(self.directory)):
            raise Conflict(f"run {self.id} cannot wait for itself", hint="complete() or fail() ends it")

    def _failure(self, state: RunState) -> RunFailed:
        reason = state.reason.text if state.reason else "for an unknown reason"
        lines = "\n".join(f"    {line}" for line in state.last_lines[-20:])
        return RunFailed(
            f"run {self.id} failed: {reason}" + (f"\n  last lines of its log:\n{lines}" if lines else ""),
            hint=f"everything it left is in {self.path}",
        )

    def start(self) -> None:
        """Nothing: runs here start by themselves.  Source: ``azureml.core.Run.start``."""

    def cancel(self) -> None:
        """Ask for the run to be stopped, with everything that it started; too late is no error.

        An interactive run ends; the process that it is (a notebook's kernel) goes on.
        """
        from jupyter_mlrun.sdk.run_interactive import close
        from jupyter_mlrun.worker import ending

        if ending.is_own_interactive(self.directory):
            self._before_end()
            ending.cancel_own(self._run_dir)
        elif not self.state.is_over:
            self._request_stop()
        close(self._run_dir)

    def _request_stop(self) -> None:
        from jupyter_mlrun.agent import client
        from jupyter_mlrun.worker.notes import user

        client.ensure_agent(self.home)
        client.request(self.home, {"kind": "stop", "path": self._run_dir, "by": user()}, wait=30)

    def delete(self) -> None:
        """Remove the run and everything it left.  Raises ``Conflict`` while it is active."""
        from jupyter_mlrun.store import runs

        state = self.state
        if not state.is_over:
            raise Conflict(f"run {self.id} is {state.shown}", hint=f"stop it first: jupyter mlrun stop {self.id}")
        runs.trash(self._place, self.directory)

    def rerun(self, parameters: Mapping[str, object] | None = None, name: str | None = None) -> Run:
        """Submit the same again, with the variables' values of this process.

        Args:
            parameters: other values for some of the parameters of a script or notebook.
            name: what the new run is called; default: what this one is.

        Raises ``BadInput`` for a parameter that the run had not, and for those of a cell, which are its source.
        """
        from jupyter_mlrun.sdk.again import again

        changes: dict[str, Any] = {} if name is None else {"name": name}
        if parameters:
            changes["parameters"] = {key: str(value) for key, value in parameters.items()}
        return again(self, changes)

    def plot(self, metrics: _Names = None, x: str = "step", smoothing: float = 0.0) -> Any:
        """A plotly figure with a chart for each of *metrics* (default: all that have numbers).

        *x*: ``step`` or ``time``; *smoothing*: from 0 (none) to below 1.  Raises ``NotFound`` for a metric that is
        not there, ``BadInput`` for one without numbers.
        """
        from jupyter_mlrun.ui.plot import figure

        return figure(self.directory, metrics, x, smoothing, title=self.name)

    def register_model(
        self,
        model_name: str,
        model_path: str | None = None,
        tags: dict[str, Any] | None = None,
        properties: dict[str, Any] | None = None,
        model_framework: str | None = None,
        model_framework_version: str | None = None,
        description: str | None = None,
        datasets: Any = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: Any = None,
        **more: Any,
    ) -> Model:
        """Register a file or folder of the run as a model.  Source: ``azureml.core.Run.register_model``.

        *model_path*: as ``get_file_names`` names it; default: *model_name*.  Raises ``NotFound`` that lists the
        files there are.
        """
        from jupyter_mlrun.sdk.model import register_from_run

        self._collect()
        return register_from_run(
            self, model_name, model_path, tags, properties, model_framework, model_framework_version, description,
            datasets, sample_input_dataset, sample_output_dataset, resource_configuration, **more,
        )  # fmt: skip

    # ---- runs of this process ----------------------------------------------------------------------------

    def _collect(self) -> None:
        if interactive := sys.modules.get("jupyter_mlrun.sdk.run_interactive"):
            interactive.collect(self._run_dir)

    def _after_end(self) -> None:
        if interactive := sys.modules.get("jupyter_mlrun.sdk.run_interactive"):
            interactive.close(self._run_dir)

    def _tell(self, problem: BaseException) -> None:
        from jupyter_mlrun.worker import ending

        if ending.is_own_interactive(self.directory):
            ending.write_traceback(self.directory, problem)


class _OfflineRun(Run):
    """A run that ``get_context()`` made outside of one: a whole run.  Source: ``azureml.core.run._OfflineRun``."""


def detached(run_id: str) -> str:
    """What to say when nobody waits for a run any longer."""
    return f"\ndetached: run {run_id} goes on; follow it with: jupyter mlrun logs -f {run_id}"


def get_run(experiment: Experiment, run_id: str, rehydrate: bool = True, clean_up: bool = True) -> Run:  # noqa: ARG001
    """The run with this id.  Source: ``azureml.core.get_run``."""
    return Run(experiment, run_id)


def _folder_of(workspace: Workspace, run_id: str) -> str:
    from jupyter_mlrun.sdk.places import folder_of
    from jupyter_mlrun.store import runs

    try:
        path = runs.place(folder_of(workspace), str(run_id))
    except StoreError as problem:
        hint = "an id is like train_1750000000_1a2b3c4d: jupyter mlrun ps --all --json has them"
        raise NotFound(f"no run {run_id!r}: {problem}", hint=hint) from problem
    if not path.is_dir():
        raise NotFound(f"no run {run_id!r} in workspace {workspace.name!r}", hint="jupyter mlrun ps --all")
    return str(path)
