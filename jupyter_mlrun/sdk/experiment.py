"""``Experiment``: a name, the runs under it, and what was said of it.

Reads the listing of a workspace; writes ``<workspace>/experiments/<name>.jsonl``.
"""

from __future__ import annotations

import os
import warnings
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import BadInput, Conflict, NotFound, an
from jupyter_mlrun.records import experiment_name, slug
from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.sdk.places import folder_of
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.store import runs
from jupyter_mlrun.words import did_you_mean
from jupyter_mlrun.worker import notes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from jupyter_mlrun.sdk.workspace import Workspace
    from jupyter_mlrun.store.home import WorkspaceDir

DOCS = "https://learn.microsoft.com/python/api/azureml-core/azureml.core.experiment.experiment"
_Experiments = list["Experiment"]


class ViewType:
    """Which experiments ``Experiment.list`` gives.  Source: ``azureml.core.experiment.ViewType``."""

    ActiveOnly = "ActiveOnly"
    All = "All"
    ArchivedOnly = "ArchivedOnly"


class Experiment:
    """A name that runs are grouped under; made where it is missing.  Source: ``azureml.core.Experiment``.

    Raises ``BadInput`` for a name with other than letters, digits, ``_`` and ``-``, or of more than 255 characters.
    """

    def __init__(self, workspace: Workspace, name: str, _create_in_cloud: bool = True, **_: Any) -> None:
        if not isinstance(name, str):
            raise BadInput(f"an experiment's name is text, not {type(name).__name__}")
        if name != experiment_name(name):
            raise BadInput(f"{name!r} is no name for an experiment", hint=f"like this: {experiment_name(name)!r}")
        self._workspace, self._name = workspace, name
        if _create_in_cloud and not self._file.exists() and not self._folder.is_dir():
            self._annotate(name=name)

    @property
    def workspace(self) -> Workspace:
        """The workspace that it is in."""
        return self._workspace

    @property
    def workspace_object(self) -> Workspace:
        """The workspace that it is in."""
        return self._workspace

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def id(self) -> str:
        """Its id: its name, which is unique in a workspace."""
        return self._name

    @property
    def _file(self) -> Path:
        return _notes_of(self._workspace.folder) / f"{slug(self._name)}.jsonl"

    @property
    def _folder(self) -> Path:
        return self._workspace.folder.runs / slug(self._name)

    # ---- runs --------------------------------------------------------------------------------------------

    def submit(
        self, config: Any, tags: dict[str, str] | None = None, *, _parent: str | None = None, **kwargs: Any
    ) -> Run:
        """Package and record *config* as a run; it starts as soon as its compute has room.

        Source: ``azureml.core.Experiment.submit``.
        """
        from dataclasses import replace

        from jupyter_mlrun import settings
        from jupyter_mlrun.sdk.submit import submit

        if kwargs:
            warnings.warn(f"submit() takes a config and tags; without effect here: {', '.join(kwargs)}", stacklevel=2)
        if not hasattr(config, "to_request"):
            raise BadInput(f"{an(type(config).__name__)} cannot be submitted", hint="submit a ScriptRunConfig")
        request = config.to_request(self._name, notes.texts(tags, "tags") if tags else None)
        if _parent is not None:
            request = replace(request, parent=_parent)
        return submit(request, settings.load(), workspace=self._workspace)

    def start_logging(
        self,
        *_: Any,
        name: str | None = None,
        display_name: str | None = None,
        run_id: str | None = None,
        outputs: Any = None,
        snapshot_directory: str | os.PathLike[str] | None = ".",
        tags: dict[str, str] | None = None,
        properties: dict[str, str] | None = None,
        **__: Any,
    ) -> Run:
        """Make a run that this process is, Running at once; ``complete()`` ends it, or a ``with`` block.

        Source: ``azureml.core.Experiment.start_logging``.

        Args:
            name: its display name.
            display_name: the same.
            run_id: its id, where it must be a certain one.
            outputs: the folder whose new files are kept when it ends; None is ``outputs``, False is none.
            snapshot_directory: kept as a snapshot, less what ignore files name; None takes none.  A folder over
                the limits is warned of and left out.
            tags: what can change.
            properties: what cannot.
        """
        from jupyter_mlrun.sdk.run_interactive import start

        return Run.at(
            start(
                self._workspace.folder, self._name, name=display_name or name, run_id=run_id, outputs=outputs,
                snapshot=snapshot_directory, tags=tags, properties=properties,
            )
        )  # fmt: skip

    def get_runs(
        self,
        type: str | None = None,  # noqa: A002 -- the reference's name
        tags: str | dict[str, str] | None = None,
        properties: str | dict[str, str] | None = None,
        include_children: bool = False,
    ) -> Iterator[Run]:
        """The experiment's runs, newest first.  Source: ``azureml.core.Experiment.get_runs``.

        *tags*, *properties*: a name that must be there, or names with values.
        """
        return Run.list(self, type, tags, properties, include_children=include_children)

    # ---- what is said of it ------------------------------------------------------------------------------

    def _said(self) -> dict[str, Any]:
        return notes.read(str(self._file))

    def _annotate(self, **change: Any) -> None:
        self._workspace.folder.make()
        if not self._file.exists():
            change = {"name": self._name, **change}
        notes.annotate(str(self._file), **change)

    def tag(self, key: str, value: str | None = None) -> None:
        """Put one tag on it, or change it."""
        self.set_tags({key: value})

    def set_tags(self, tags: Any) -> None:
        """Put tags on it; others stay."""
        self._annotate(tags=notes.texts(tags, "tags"))

    def remove_tags(self, tags: str | Iterable[str]) -> None:
        """Take tags away; those that are not there are no error."""
        self._annotate(remove_tags=[tags] if isinstance(tags, str) else [str(name) for name in tags])

    @property
    def tags(self) -> dict[str, str]:
        """Its tags."""
        return notes.over({}, self._said())

    @property
    def archived_time(self) -> datetime | None:
        """When it was archived; None while it is active."""
        moment = self._said().get("archived")
        return None if moment is None else datetime.fromtimestamp(moment, timezone.utc)

    def archive(self) -> None:
        """Leave it out of ``Experiment.list``; its runs stay.  Source: ``azureml.core.Experiment.archive``."""
        import time

        self._annotate(archived=time.time())

    def reactivate(self, new_name: str | None = None) -> None:
        """Undo ``archive``.  Source: ``azureml.core.Experiment.reactivate``."""
        if new_name not in (None, self._name):
            raise NotImplementedError("an experiment is not renamed here: make an Experiment of the new name")
        self._annotate(archived=None)

    def refresh(self) -> None:
        """Nothing: it is read anew whenever it is looked at."""

    # ---- all of them -------------------------------------------------------------------------------------

    @staticmethod
    def list(
        workspace: Workspace,
        experiment_name: str | None = None,
        view_type: str = ViewType.ActiveOnly,
        tags: str | dict[str, str] | None = None,
    ) -> _Experiments:
        """The experiments of a workspace, by name.  Source: ``azureml.core.Experiment.list``."""
        if view_type not in (ViewType.ActiveOnly, ViewType.All, ViewType.ArchivedOnly):
            raise BadInput(f"{view_type!r} is no view of experiments", hint="ActiveOnly, ArchivedOnly or All")
        wanted: dict[str, Any] = {tags: None} if isinstance(tags, str) else dict(tags or {})
        found = []
        for name in sorted(names(folder_of(workspace))):
            if experiment_name not in (None, name):
                continue
            one = Experiment(workspace, name, _create_in_cloud=False)
            archived = one.archived_time is not None
            if view_type != ViewType.All and archived != (view_type == ViewType.ArchivedOnly):
                continue
            there = one.tags
            if all(key in there and value in (None, there[key]) for key, value in wanted.items()):
                found.append(one)
        return found

    # one function for Experiment.delete(workspace, id), which the reference has, and for experiment.delete()
    def delete(workspace: Any, experiment_id: str | None = None) -> None:  # noqa: N805 -- the reference's name for it
        """Remove an experiment with all its runs: ``Experiment.delete(workspace, id)`` or ``experiment.delete()``.

        Raises ``Conflict`` while one of them is active, and ``NotFound`` where there is no such experiment; nothing
        was removed then.  Models stay.  Source: ``azureml.core.Experiment.delete``.
        """
        one = workspace if isinstance(workspace, Experiment) else _existing(workspace, str(experiment_id))
        place = one.workspace.folder
        every = [run for run in runs.run_dirs(place) if run.path.parent == one._folder]  # noqa: SLF001 -- one module
        active = [run.path.name for run in every if not runs.observe(run).is_over]
        if active:
            raise Conflict(f"run {active[0]} of {one.name!r} is active", hint="stop it first: jupyter mlrun stop")
        for run in every:
            runs.trash(place, run)
        one._file.unlink(missing_ok=True)  # noqa: SLF001
        _lock_of(one).unlink(missing_ok=True)

    @staticmethod
    def from_directory(path: str, auth: Any = None) -> Experiment:
        """Not here."""
        raise NotImplementedError(
            "Experiment.from_directory is not here: use Experiment(Workspace.from_config(), name)"
        )

    @classmethod
    def get_docs_url(cls) -> str:
        """Where the reference describes the class."""
        return DOCS

    def get_portal_url(self) -> str:
        """The folder of its runs, as an address."""
        return self._folder.absolute().as_uri()

    # ---- how it looks ------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"Experiment(Name: {self.name},\nWorkspace: {self.workspace.name})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Experiment) and other._file == self._file

    def __hash__(self) -> int:
        return hash(self._file)

    def _repr_html_(self) -> str:
        from jupyter_mlrun.sdk.run_details import table

        return table({
            "Name": self.name,
            "Workspace": self.workspace.name,
            "Report Page": ("Link to the folder of its runs", self.get_portal_url()),
            "Docs Page": ("Link to Documentation", DOCS),
        })  # fmt: skip


def names(place: WorkspaceDir) -> set[str]:
    """The name of each experiment that was made or has runs."""
    found = set()
    known = _notes_of(place)
    for path in sorted(known.glob("*.jsonl")) if known.is_dir() else ():
        name = notes.read(str(path)).get("name")
        if isinstance(name, str):
            found.add(name)
    for folder in runs.experiment_folders(place):
        loaded = (runs.load(RunDir(folder / name)) for name in os.listdir(folder))
        spec = next((one[0] for one in loaded if one is not None), None)
        if spec is not None:
            found.add(spec.experiment)
    return found


def _notes_of(place: WorkspaceDir) -> Path:
    return place.path / "experiments"


def _lock_of(one: Experiment) -> Path:
    file = one._file  # noqa: SLF001 -- one module
    return file.with_name(file.name + ".lock")


def _existing(workspace: Workspace, name: str) -> Experiment:
    known = sorted(names(folder_of(workspace)))
    if name not in known:
        raise NotFound(f"no experiment {name!r} in workspace {workspace.name!r}", hint=did_you_mean(name, known))
    return Experiment(workspace, name, _create_in_cloud=False)
