"""``Model``: a registered model, a version that owns its files whatever becomes of the run that made them.

Reads and writes the registry ``models/`` and the content store; nothing is ever loaded, unpickled or imported.
"""

from __future__ import annotations

import getpass
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from jupyter_mlrun.errors import BadInput, NotFound
from jupyter_mlrun.sdk import modelfiles
from jupyter_mlrun.sdk import modelrecords as records
from jupyter_mlrun.sdk.places import folder_of
from jupyter_mlrun.store import placing
from jupyter_mlrun.store.packs import ObjectStore
from jupyter_mlrun.store.registry import Versions, check_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jupyter_mlrun.sdk.modelrecords import Record, Wanted
    from jupyter_mlrun.sdk.run import Run
    from jupyter_mlrun.sdk.workspace import Workspace

_Models = list["Model"]


class Model:
    """One version of a registered model.  Source: ``azureml.core.Model``.

    ``Model(workspace, "birds")`` is the latest version; *version*, *tags*, *properties*, *run_id* and
    *model_framework* say which other.  *id* is ``name:version``.  Raises ``NotFound`` where there is none.
    """

    class Framework:
        """Names for *model_framework*; any other text will do.  Source: ``azureml.core.Model.Framework``."""

        CUSTOM: ClassVar[str] = "Custom"
        TENSORFLOW: ClassVar[str] = "TensorFlow"
        SCIKITLEARN: ClassVar[str] = "ScikitLearn"
        ONNX: ClassVar[str] = "Onnx"
        TFKERAS: ClassVar[str] = "TfKeras"
        PYTORCH: ClassVar[str] = "PyTorch"
        MULTI: ClassVar[str] = "Multi"

    def __init__(
        self,
        workspace: Workspace,
        name: str | None = None,
        id: str | None = None,  # noqa: A002 -- the reference's name
        tags: Wanted = None,
        properties: Wanted = None,
        version: int | str | None = None,
        run_id: str | None = None,
        model_framework: str | None = None,
        expand: bool = True,  # noqa: ARG002 -- everything is here anyway
        **_: Any,
    ) -> None:
        if id is not None:
            name, _colon, number = id.rpartition(":") if ":" in id else (id, "", "")
            version = number or version
        self.workspace = workspace
        wanted = records.Filter(tags, properties, run_id, model_framework)
        self._record = records.choose(self._versions, name, version, wanted)

    @classmethod
    def at(cls, workspace: Workspace, record: Record) -> Model:
        """The model whose record is *record*."""
        model = cls.__new__(cls)
        model.workspace, model.__dict__["_record"] = workspace, record
        return model

    # ---- what it is ------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Its name."""
        return str(self._record["name"])

    @property
    def version(self) -> int:
        """Its version, from 1."""
        return int(self._record["version"])

    @property
    def id(self) -> str:
        """``name:version``."""
        return f"{self.name}:{self.version}"

    @property
    def path(self) -> str:
        """What was registered: the path in the run, or the name of the local file or folder."""
        return str(self._record.get("path", ""))

    @property
    def url(self) -> str:
        """Where its record is."""
        return self._versions.path(self.name, self.version).parent.as_uri()

    @property
    def tags(self) -> dict[str, str]:
        """Its tags."""
        return dict(self._record["tags"])

    @property
    def properties(self) -> dict[str, str]:
        """Its properties, each written once."""
        return dict(self._record["properties"])

    @property
    def description(self) -> str | None:
        """What it is, in words."""
        return self._record.get("description")

    @property
    def run_id(self) -> str | None:
        """The run that made it."""
        return self._record.get("run_id")

    @property
    def run(self) -> Run | None:
        """The run that made it; None where it came from a local file.  Raises ``NotFound`` for a removed run."""
        return self.workspace.get_run(self.run_id) if self.run_id else None

    @property
    def experiment_name(self) -> str | None:
        """The experiment of that run."""
        return self._record.get("experiment")

    @property
    def created_time(self) -> datetime:
        """When it was registered, UTC."""
        return datetime.fromtimestamp(float(self._record["created"]), timezone.utc)

    @property
    def created_by(self) -> str:
        """Who registered it."""
        return str(self._record.get("created_by", ""))

    @property
    def model_framework(self) -> str | None:
        """What made it, like ``PyTorch``."""
        return self._record.get("framework")

    @property
    def model_framework_version(self) -> str | None:
        """The framework's version."""
        return self._record.get("framework_version")

    @property
    def resource_configuration(self) -> dict[str, Any] | None:
        """What it was said to need; kept, and used by nothing here."""
        return self._record.get("resource_configuration")

    @property
    def sample_input_dataset(self) -> dict[str, Any] | None:
        """Name, version and id of the dataset given as a sample of what goes in."""
        return self._record.get("sample_input_dataset")

    @property
    def sample_output_dataset(self) -> dict[str, Any] | None:
        """Name, version and id of the dataset given as a sample of what comes out."""
        return self._record.get("sample_output_dataset")

    @property
    def datasets(self) -> dict[str, list[dict[str, Any]]]:
        """``{purpose: [{"name", "version", "id"}, …]}`` of the datasets that were said to belong to it."""
        found: dict[str, list[dict[str, Any]]] = {}
        for one in records.references(self._versions, self._record):
            found.setdefault(one["purpose"], []).append(one["dataset"])
        return found

    @property
    def size_in_bytes(self) -> int:
        """Bytes of its files."""
        return int(self._record["bytes"])

    @property
    def _versions(self) -> Versions:
        return Versions(folder_of(self.workspace), "model")

    # ---- registering -----------------------------------------------------------------------------------

    @staticmethod
    def register(
        workspace: Workspace,
        model_path: str | os.PathLike[str],
        model_name: str,
        tags: Mapping[str, Any] | None = None,
        properties: Mapping[str, Any] | None = None,
        description: str | None = None,
        datasets: Iterable[tuple[str, Any]] | None = None,
        model_framework: str | None = None,
        model_framework_version: str | None = None,
        child_paths: Sequence[str] | None = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: Any = None,
    ) -> Model:
        """Register a local file or folder as the next version of *model_name*.

        *child_paths*: only these files and folders of *model_path*.  *datasets*: ``(purpose, dataset)`` pairs.

        Raises ``NotFound`` that says what there is instead, ``BadInput`` for a name that cannot be one.
        """
        check_name("model", model_name)
        found = modelfiles.local(Path(model_path), child_paths)
        said = records.said(
            tags, properties, description, datasets, model_framework, model_framework_version, sample_input_dataset,
            sample_output_dataset, resource_configuration,
        )  # fmt: skip
        return _add(workspace, model_name, found, said)

    # ---- finding -----------------------------------------------------------------------------------------

    @staticmethod
    def list(
        workspace: Workspace,
        name: str | None = None,
        tags: Wanted = None,
        properties: Wanted = None,
        run_id: str | None = None,
        latest: bool = False,
        dataset_id: str | None = None,
        expand: bool = True,  # noqa: ARG004 -- everything is here anyway
        page_count: int = 255,  # noqa: ARG004 -- there are no pages
        model_framework: str | None = None,
    ) -> _Models:
        """The models, newest first.

        *tags*: names, or (name, value) pairs, that must all be there; *properties* likewise.  *latest*: only the
        latest version of each name, of those that fit.  *dataset_id*: only models that were said to belong to this
        dataset (its id, or ``name:version``).
        """
        wanted = records.Filter(tags, properties, run_id, model_framework, dataset_id)
        fitting = records.fitting(Versions(folder_of(workspace), "model"), name, wanted)
        found = [Model.at(workspace, record) for record in fitting]
        found.sort(key=lambda model: (model.created_time, model.version), reverse=True)
        if latest:
            newest = {model.name: model for model in sorted(found, key=lambda model: model.version)}
            found = [model for model in found if newest[model.name] is model]
        return found

    @staticmethod
    def get_model_path(model_name: str, version: int | str | None = None, _workspace: Workspace | None = None) -> str:
        """A local path of the model, to be read and not written to.

        In a run the workspace is the run's; elsewhere it is ``Workspace.from_config()``'s.  The model lies in
        ``azureml-models/NAME/VERSION/`` of the current folder; it is put there when it is not.  A file or folder
        ``./NAME`` is taken where no such model is registered.  Raises ``NotFound`` that names the models there are.
        """
        from jupyter_mlrun.sdk.workspace import Workspace

        workspace = _workspace or _workspace_of_run() or Workspace.from_config()
        root = Path(os.environ.get("AML_APP_ROOT", ""), "azureml-models")
        try:
            model = Model(workspace, model_name, version=version)
        except NotFound:
            there = modelfiles.cached(root / model_name, version)
            if there is None and version is None and os.path.exists(model_name):
                there = Path(model_name)
            if there is None:
                raise
            return str(there)
        return str(modelfiles.materialise(model._store, model._record, root / model.name / str(model.version)))

    # ---- what can be done --------------------------------------------------------------------------------

    @property
    def _store(self) -> ObjectStore:
        return ObjectStore(self.workspace.folder.objects)

    def download(
        self, target_dir: str | os.PathLike[str] = ".", exist_ok: bool = False, exists_ok: bool | None = None
    ) -> str:
        """Put the model's file or folder into *target_dir*; returns its path there.

        Args:
            target_dir: where to; made where it is missing.
            exist_ok: whether files of the same names may be replaced.
            exists_ok: the same.

        Raises ``Conflict`` where it is there already.
        """
        over = exist_ok if exists_ok is None else exists_ok
        root, single = str(self._record["root"]), bool(self._record["single"])
        target = Path(target_dir) / root
        name = root if single else None
        return str(placing.place(self._store, self._record["manifest"], target, name=name, over=over))

    def delete(self) -> None:
        """Remove this version; its number is never given out again."""
        self._versions.remove(self.name, self.version)

    def update(
        self,
        tags: Mapping[str, Any] | None = None,
        description: str | None = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: Any = None,
    ) -> None:
        """Replace what is given: all tags by *tags*, the description by *description*."""
        if (sample_input_dataset, sample_output_dataset, resource_configuration) != (None, None, None):
            raise NotImplementedError(
                "samples and resources of a model are said when it is registered: use tags for what comes later"
            )
        change: dict[str, Any] = {}
        if tags is not None:
            change["remove_tags"] = [name for name in self.tags if name not in tags]
            change["tags"] = records.texts(tags)
        if description is not None:
            change["description"] = str(description)
        self._annotate(**change)

    def update_tags_properties(
        self,
        add_tags: Mapping[str, Any] | None = None,
        remove_tags: str | Iterable[str] | None = None,
        add_properties: Mapping[str, Any] | None = None,
    ) -> None:
        """Add and remove tags, add properties.  Raises ``Conflict`` for a property that has another value."""
        gone = [remove_tags] if isinstance(remove_tags, str) else [str(name) for name in remove_tags or ()]
        self._annotate(remove_tags=gone, tags=records.texts(add_tags), properties=records.texts(add_properties))

    def add_tags(self, tags: Mapping[str, Any]) -> None:
        """Add tags; one that is there gets the new value."""
        self._annotate(tags=records.texts(tags))

    def remove_tags(self, tags: str | Iterable[str]) -> None:
        """Remove the tags of these names."""
        self.update_tags_properties(remove_tags=tags)

    def add_properties(self, properties: Mapping[str, Any]) -> None:
        """Add properties.  Raises ``Conflict`` for one that has another value already."""
        self._annotate(properties=records.texts(properties))

    def add_dataset_references(self, datasets: Iterable[tuple[str, Any]]) -> None:
        """Say which datasets belong to it: ``(purpose, dataset)`` pairs."""
        self._annotate(datasets=records.datasets_of(datasets))

    def _annotate(self, **change: Any) -> None:
        given = {key: value for key, value in change.items() if value or key == "description"}
        if "properties" in given:
            given["first"] = self.properties  # those that it was registered with are written, too
        if given:
            self._record = self._versions.annotate(self.name, self.version, **given)

    def serialize(self) -> dict[str, Any]:
        """Everything that is known of it, as JSON holds it; ``deserialize`` takes it."""
        keys = ("name", "version", "id", "path", "url", "tags", "properties", "description", "run_id", "created_by")
        return {
            **{key: getattr(self, key) for key in keys},
            "createdTime": self.created_time.isoformat(),
            "experimentName": self.experiment_name,
            "framework": self.model_framework,
            "frameworkVersion": self.model_framework_version,
            "datasets": self.datasets,
            "resourceConfiguration": self.resource_configuration,
            "bytes": self.size_in_bytes,
            "files": self._record["files"],
            "manifest": self._record["manifest"],
        }

    @staticmethod
    def deserialize(workspace: Workspace, model_payload: Mapping[str, Any]) -> Model:
        """The model of which ``serialize`` gave *model_payload*."""
        try:
            return Model(workspace, str(model_payload["name"]), version=int(model_payload["version"]))
        except (KeyError, TypeError, ValueError) as problem:
            raise BadInput("this is no model's payload", hint="it is what Model.serialize() returned") from problem

    def __repr__(self) -> str:
        return f"Model(workspace={self.workspace!r}, name={self.name}, id={self.id}, version={self.version})"

    # ---- not here ----------------------------------------------------------------------------------------

    def get_sas_urls(self) -> NoReturn:
        """Not here."""
        raise NotImplementedError("models are local files without URLs: use Model.download()")

    @staticmethod
    def deploy(*_: Any, **__: Any) -> NoReturn:
        """Not here."""
        raise NotImplementedError(
            "Model.deploy is not here: use Model.download() and serve the files with a server of your own, "
            "as TorchServe, Triton, BentoML or FastAPI"
        )

    @staticmethod
    def package(*_: Any, **__: Any) -> NoReturn:
        """Not here."""
        raise NotImplementedError("Model.package is not here: use Model.download() in the build of your own image")

    @staticmethod
    def profile(*_: Any, **__: Any) -> NoReturn:
        """Not here."""
        raise NotImplementedError("Model.profile is not here: use a run that downloads the model and measures it")

    @staticmethod
    def print_configuration(*_: Any, **__: Any) -> NoReturn:
        """Not here."""
        raise NotImplementedError("there are no deployments here: use Model.download() and a server of your own")


def register_from_run(
    run: Run,
    model_name: str,
    model_path: str | None = None,
    tags: Mapping[str, Any] | None = None,
    properties: Mapping[str, Any] | None = None,
    model_framework: str | None = None,
    model_framework_version: str | None = None,
    description: str | None = None,
    datasets: Iterable[tuple[str, Any]] | None = None,
    sample_input_dataset: Any = None,
    sample_output_dataset: Any = None,
    resource_configuration: Any = None,
    **_: Any,
) -> Model:
    """Register a file or folder of *run*; ``Run.register_model``.

    *model_path* is as ``get_file_names`` names it (``./outputs/x``, ``outputs/`` and ``outputs/*.pt`` are understood);
    default: *model_name*.

    Raises ``NotFound`` that lists the files there are.
    """
    check_name("model", model_name)
    found = modelfiles.of_run(run, model_name if model_path is None else str(model_path))
    said = records.said(
        tags, properties, description, datasets, model_framework, model_framework_version, sample_input_dataset,
        sample_output_dataset, resource_configuration,
    )  # fmt: skip
    spec = run.spec
    return _add(run.experiment.workspace, model_name, found, {**said, "run_id": run.id, "experiment": spec.experiment})


def models(workspace: Workspace) -> dict[str, Model]:
    """The latest version of each model, by name."""
    found = Versions(folder_of(workspace), "model").latest()
    return {name: Model.at(workspace, record) for name, record in found.items()}


# ---- parts -------------------------------------------------------------------------------------------------


def _add(workspace: Workspace, name: str, found: modelfiles.Found, said: Record) -> Model:
    from jupyter_mlrun.store import keep
    from jupyter_mlrun.store.home import need_registries

    need_registries(folder_of(workspace))
    kept = keep.keep(ObjectStore(workspace.folder.objects), found.files)
    record = {
        "manifest": kept.id, "bytes": kept.bytes, "files": kept.count, "path": found.path, "root": found.root,
        "single": found.single, "created_by": _user(), **said,
    }  # fmt: skip
    # the same content again is a new version, as in the reference
    made, _ = Versions(folder_of(workspace), "model").add(name, record)
    return Model.at(workspace, made)


def _workspace_of_run() -> Workspace | None:
    """The workspace of the run that this process belongs to."""
    from jupyter_mlrun.sdk.workspace import Workspace

    place = os.environ.get("JUPYTER_MLRUN_RUN_DIR")
    if not place or len(Path(place).parents) < 4:
        return None
    return Workspace(Path(place).parents[2].name, home=Path(place).parents[3])


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a uid without a name, as in containers
        return str(os.getuid())
