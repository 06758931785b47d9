"""``Workspace``: one folder of the home, with its experiments, runs, data, models, environments and computes.

Reads ``config.json`` as the reference does and writes it in ``write_config``; reads and writes
``<workspace>/workspace.json``: what ``create`` and ``update`` were told of it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from jupyter_mlrun import settings
from jupyter_mlrun.errors import BadInput, Conflict, NotFound
from jupyter_mlrun.rundir import FORMAT, dump_json, read_json_if_there, write_atomic
from jupyter_mlrun.sdk import once
from jupyter_mlrun.store import runs
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.words import did_you_mean

if TYPE_CHECKING:
    from jupyter_mlrun.sdk.compute import ComputeTarget
    from jupyter_mlrun.sdk.data import Datastore, FileDataset
    from jupyter_mlrun.sdk.dicts import Names
    from jupyter_mlrun.sdk.environments import Environment
    from jupyter_mlrun.sdk.experiment import Experiment
    from jupyter_mlrun.sdk.model import Model
    from jupyter_mlrun.sdk.run import Run

_FOLDERS = (".azureml", "aml_config", ".")
_FILES = ("config.json", "project.json")
_NAME = re.compile(r"[a-zA-Z0-9][\w-]{2,32}\Z")
_ABOUT = "workspace.json"
_KEPT = ("subscription_id", "resource_group", "location")
_SERVE = "is not here: get the files with Model.download() and load them in your own program"
_CLOUD = "is not here: a workspace is a folder of this machine, {}"
_Workspaces = dict[str, list["Workspace"]]


def _not_here(name: str, instead: str) -> NotImplementedError:
    return NotImplementedError(f"Workspace.{name} {_CLOUD.format(instead)}")


class Workspace:
    """One folder of the home, made when it is first used.  Source: ``azureml.core.Workspace``.

    ``Workspace()`` is the one that the settings name, ``Workspace("mine")`` the one of that name; with the reference's
    three arguments *workspace_name* counts, and the others are kept as they are.  Raises ``BadInput`` for a name that
    no folder may have.
    """

    def __init__(
        self,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        workspace_name: str | None = None,
        auth: Any = None,
        _location: str | None = None,
        _disable_service_check: bool = False,
        _workspace_id: str | None = None,
        sku: str = "basic",
        tags: dict[str, str] | None = None,
        _cloud: str = "AzureCloud",
        *,
        name: str | None = None,
        home: Path | None = None,
    ) -> None:
        if workspace_name is None and resource_group is None and name is None:
            subscription_id, name = None, subscription_id
        self.name: str = workspace_name or name or settings.load().workspace
        self.home = home or settings.default_home()
        self.folder = WorkspaceDir(self.home, self.name)
        given = {"subscription_id": subscription_id, "resource_group": resource_group, "location": _location}
        self._given = {key: str(value) for key, value in given.items() if value is not None}
        self._tags, self._sku = tags, sku

    # ---- finding and making ------------------------------------------------------------------------------

    @classmethod
    def from_config(
        cls, path: str | Path | None = None, auth: Any = None, _logger: Any = None, _file_name: str | None = None
    ) -> Workspace:
        """The workspace that ``config.json`` names, searched from *path* (default: here) upward.

        In each folder ``.azureml``, ``aml_config`` and the folder itself are looked into, for ``config.json`` and
        ``project.json``.  With no file at all it is the default workspace, which is said once.  Raises ``BadInput``
        for a file that cannot be read, ``NotFound`` for a *path* that is not there.
        """
        start = Path(path).expanduser() if path is not None else Path.cwd()
        if not start.exists():
            raise NotFound(f"{start} does not exist", hint="give a folder, or the file itself")
        names = _FILES if _file_name is None else (_file_name,)
        found = start if start.is_file() else _search(start.absolute(), names)
        if found is None:
            made = cls()
            once.tell(f"no config.json in {start.absolute()} or above: this is the workspace {made.name!r}")
            return made
        try:
            data = json.loads(found.read_text(encoding="utf-8-sig"))
            name = data["workspace_name"]
            if not isinstance(name, str) or not name:
                raise ValueError(f"workspace_name is {name!r}")
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as problem:
            raise BadInput(
                f"{found} is no workspace configuration: {problem!r}",
                hint='it holds {"workspace_name": "…"}; remove it to use the default workspace',
            ) from problem
        made = cls(name=name)
        made._given = {key: str(data[key]) for key in _KEPT if data.get(key)}
        return made

    @staticmethod
    def create(
        name: str,
        auth: Any = None,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        location: str | None = None,
        create_resource_group: bool = True,
        sku: str = "basic",
        tags: dict[str, str] | None = None,
        friendly_name: str | None = None,
        storage_account: str | None = None,
        key_vault: str | None = None,
        app_insights: str | None = None,
        container_registry: str | None = None,
        adb_workspace: str | None = None,
        primary_user_assigned_identity: str | None = None,
        cmk_keyvault: str | None = None,
        resource_cmk_uri: str | None = None,
        hbi_workspace: bool = False,
        default_cpu_compute_target: Any = None,
        default_gpu_compute_target: Any = None,
        private_endpoint_config: Any = None,
        private_endpoint_auto_approval: bool = True,
        exist_ok: bool = False,
        show_output: bool = True,
        user_assigned_identity_for_cmk_encryption: str | None = None,
        system_datastores_auth_mode: str = "accessKey",
        v1_legacy_mode: bool | None = None,
    ) -> Workspace:
        """Make a workspace; what is of a cloud is not done, subscription, group and location are kept as words.

        Raises ``BadInput`` for a name that is not 3 to 33 letters, digits, ``_`` and ``-``, ``Conflict`` for one that
        is there, without *exist_ok*.
        """
        if not _NAME.match(str(name or "")):
            raise BadInput(
                f"{name!r} is no name for a workspace",
                hint="3 to 33 letters, digits, '_' or '-', the first a letter or digit",
            )
        made = Workspace(name=name)
        if made.folder.path.exists():
            if not exist_ok:
                raise Conflict(f"there is a workspace {name!r} already", hint="give exist_ok=True to use it")
            return made
        made.folder.make()
        kept = {"subscription_id": subscription_id, "resource_group": resource_group, "location": location}
        made._keep({**kept, "sku": sku, "tags": dict(tags or {}), "friendly_name": friendly_name})
        if show_output:
            print(f"workspace {name!r} is in {made.folder.path}")
        return made

    @staticmethod
    def get(
        name: str,
        auth: Any = None,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        location: str | None = None,
        cloud: str = "AzureCloud",
        id: str | None = None,
    ) -> Workspace:
        """The workspace of this name.  Raises ``NotFound`` with those there are."""
        made = Workspace(name=name)
        if not made.folder.path.is_dir():
            raise NotFound(f"no workspace {name!r}", hint=did_you_mean(name, Workspace.list()))
        return made

    @staticmethod
    def list(subscription_id: str | None = None, auth: Any = None, resource_group: str | None = None) -> _Workspaces:
        """Every workspace of the home: a list with one of each name."""
        from jupyter_mlrun.store.home import workspaces

        home = settings.default_home()
        return {place.name: [Workspace(name=place.name, home=home)] for place in workspaces(home)}

    def write_config(self, path: str | Path | None = None, file_name: str | None = None) -> Path:
        """Write ``<path>/.azureml/config.json``, which ``from_config`` finds; returns where it is."""
        folder = Path(path or ".").expanduser() / ".azureml"
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / (file_name or "config.json")
        keys = {"subscription_id": self.subscription_id, "resource_group": self.resource_group}
        text = json.dumps({**keys, "workspace_name": self.name}, indent=4)
        target.write_text(text + "\n", encoding="utf-8")
        return target

    # ---- what it is --------------------------------------------------------------------------------------

    def _about(self) -> dict[str, Any]:
        try:
            found = read_json_if_there(self.folder.path / _ABOUT)
        except ValueError:  # words about it alone: a damaged file must not keep anybody from the runs
            return {}
        return found if isinstance(found, dict) else {}

    def _keep(self, change: dict[str, Any]) -> None:
        full = {"format": FORMAT, **self._about(), **{key: one for key, one in change.items() if one is not None}}
        write_atomic(self.folder.path / _ABOUT, dump_json(full))

    def _word(self, key: str) -> str:
        return str(self._given.get(key) or self._about().get(key) or "local")

    @property
    def subscription_id(self) -> str:
        """As it was given; else ``local``."""
        return self._word("subscription_id")

    @property
    def resource_group(self) -> str:
        """As it was given; else ``local``."""
        return self._word("resource_group")

    @property
    def location(self) -> str:
        """As it was given; else ``local``."""
        return self._word("location")

    @property
    def sku(self) -> str:
        """As it was given; else ``basic``."""
        return str(self._about().get("sku") or self._sku)

    @property
    def tags(self) -> dict[str, str]:
        """What it was tagged with."""
        return dict(self._tags if self._tags is not None else self._about().get("tags") or {})

    def get_details(self) -> dict[str, Any]:
        """What it is, in the reference's keys."""
        about = self._about()
        return {
            "id": f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}/workspaces/{self.name}",
            "name": self.name,
            "location": self.location,
            "type": "Microsoft.MachineLearningServices/workspaces",
            "tags": self.tags,
            "sku": self.sku,
            "workspaceid": self.name,
            "description": about.get("description") or "",
            "friendlyName": about.get("friendly_name") or self.name,
            "storageAccount": str(self.folder.path),
            "provisioningState": "Succeeded",
        }

    def update(
        self,
        friendly_name: str | None = None,
        description: str | None = None,
        tags: dict[str, str] | None = None,
        image_build_compute: Any = None,
        service_managed_resources_settings: Any = None,
        primary_user_assigned_identity: str | None = None,
        allow_public_access_when_behind_vnet: bool | None = None,
        v1_legacy_mode: bool | None = None,
    ) -> dict[str, Any]:
        """Say something of it: name, description, tags; what is of a cloud is not done.  Returns ``get_details()``."""
        self.folder.make()
        self._keep({"friendly_name": friendly_name, "description": description, "tags": tags})
        self._tags = None if tags is not None else self._tags
        return self.get_details()

    # ---- what it has -------------------------------------------------------------------------------------

    @property
    def compute_targets(self) -> Names[ComputeTarget]:
        """Its computes by name."""
        from jupyter_mlrun.sdk.compute import compute_targets
        from jupyter_mlrun.sdk.dicts import Names

        return Names("compute", lambda: compute_targets(self))

    @property
    def datastores(self) -> Names[Datastore]:
        """Its datastores by name."""
        from jupyter_mlrun.sdk.data import datastores
        from jupyter_mlrun.sdk.dicts import Names

        return Names("datastore", lambda: datastores(self))

    @property
    def datasets(self) -> Names[FileDataset]:
        """The latest version of its data sets by name."""
        from jupyter_mlrun.sdk.data import datasets
        from jupyter_mlrun.sdk.dicts import Names

        return Names("dataset", lambda: datasets(self))

    @property
    def experiments(self) -> Names[Experiment]:
        """Its experiments by name, those that are archived left out."""
        from jupyter_mlrun.sdk.dicts import Names
        from jupyter_mlrun.sdk.experiment import Experiment

        def listed(view: str) -> dict[str, Experiment]:
            return {one.name: one for one in Experiment.list(self, view_type=view)}

        def why(name: str) -> str:
            if name not in listed("ArchivedOnly"):
                return ""
            return f"it is archived: Experiment(workspace, {name!r}).reactivate() brings it back"

        return Names("experiment", lambda: listed("ActiveOnly"), why=why)

    @property
    def environments(self) -> Names[Environment]:
        """The latest version of its environments by name; ``AzureML-…`` is there without being listed."""
        from jupyter_mlrun.sdk.environments import environments

        return environments(self)

    @property
    def models(self) -> Names[Model]:
        """The latest version of its models by name."""
        from jupyter_mlrun.sdk.dicts import Names
        from jupyter_mlrun.sdk.model import models

        return Names("model", lambda: models(self))

    def get_default_datastore(self) -> Datastore:
        """The datastore that is used where none is named; at first ``workspaceblobstore``."""
        from jupyter_mlrun.sdk.data import default_datastore

        return default_datastore(self)

    def set_default_datastore(self, name: str) -> None:
        """Use *name* where no datastore is named.  Raises ``NotFound`` for one that is not there."""
        from jupyter_mlrun.sdk.data import set_default_datastore

        set_default_datastore(self, name)

    def get_default_compute_target(self, type: str) -> ComputeTarget | None:
        """``cpu-cluster`` for ``CPU``; for ``GPU`` the first with GPUs by its size, None where there is none."""
        from jupyter_mlrun.sdk import compute, computes

        kind = str(type).upper()
        if kind not in ("CPU", "GPU"):
            raise BadInput(f"{type!r} is neither 'CPU' nor 'GPU'")
        if kind == "CPU":
            return compute.ComputeTarget(self, computes.CLUSTER)
        rows = (row["name"] for row in computes.rows(self) if computes.gpus_of(row["vm_size"]))
        name = next(rows, None)
        return None if name is None else compute.ComputeTarget(self, name)

    def get_run(self, run_id: str) -> Run:
        """The run with this id."""
        from jupyter_mlrun.rundir import RunDir
        from jupyter_mlrun.sdk.run import Run

        path = runs.place(self.folder, run_id)
        if not path.is_dir():
            raise NotFound(f"no run {run_id!r} in workspace {self.name!r}", hint="jupyter mlrun ps --all")
        return Run.at(RunDir(path))

    # ---- not here ----------------------------------------------------------------------------------------

    def get_mlflow_tracking_uri(self, _with_auth: bool = False) -> NoReturn:
        """Not here yet."""
        raise NotImplementedError("Workspace.get_mlflow_tracking_uri comes in a later release: use run.log in scripts")

    def get_default_keyvault(self) -> NoReturn:
        """Not here."""
        raise NotImplementedError(
            "Workspace.get_default_keyvault is not here: give secrets as environment variables "
            "(os.environ before you submit, --env-var, Environment.environment_variables)"
        )

    def delete(self, delete_dependent_resources: bool = False, no_wait: bool = False) -> NoReturn:
        """Not here: a workspace goes by a command that says what goes with it."""
        raise NotImplementedError(f"Workspace.delete is not here: use `jupyter mlrun workspace rm {self.name}`")

    def update_dependencies(self, container_registry: str | None = None, force: bool = False) -> NoReturn:
        """Not here."""
        raise _not_here("update_dependencies", "it depends on nothing")

    def add_private_endpoint(
        self,
        private_endpoint_config: Any,
        private_endpoint_auto_approval: bool = True,
        location: str | None = None,
        show_output: bool = True,
        tags: Any = None,
    ) -> NoReturn:
        """Not here."""
        raise _not_here("add_private_endpoint", "nothing listens on the network; leave it out")

    def delete_private_endpoint_connection(self, private_endpoint_connection_name: str) -> NoReturn:
        """Not here."""
        raise _not_here("delete_private_endpoint_connection", "nothing listens on the network; leave it out")

    def list_keys(self) -> NoReturn:
        """Not here."""
        raise _not_here("list_keys", "and needs no keys")

    def sync_keys(self, no_wait: bool = False) -> NoReturn:
        """Not here."""
        raise _not_here("sync_keys", "and needs no keys")

    def diagnose_workspace(self, diagnose_parameters: Any) -> NoReturn:
        """Not here."""
        raise _not_here("diagnose_workspace", "use `jupyter mlrun doctor`")

    def set_connection(self, name: str, category: str, target: str, authType: str, value: str) -> NoReturn:
        """Not here."""
        raise _not_here("set_connection", "use environment variables for addresses and secrets")

    def list_connections(self, category: str | None = None, target: str | None = None) -> NoReturn:
        """Not here."""
        raise _not_here("list_connections", "use environment variables for addresses and secrets")

    def get_connection(self, name: str) -> NoReturn:
        """Not here."""
        raise _not_here("get_connection", "use environment variables for addresses and secrets")

    def delete_connection(self, name: str) -> NoReturn:
        """Not here."""
        raise _not_here("delete_connection", "use environment variables for addresses and secrets")

    @property
    def service_context(self) -> NoReturn:
        """Not here."""
        raise _not_here("service_context", "there is no service")

    @property
    def discovery_url(self) -> NoReturn:
        """Not here."""
        raise _not_here("discovery_url", "there is no service")

    @property
    def private_endpoints(self) -> NoReturn:
        """Not here."""
        raise _not_here("private_endpoints", "nothing listens on the network")

    @property
    def images(self) -> NoReturn:
        """Not here."""
        raise NotImplementedError(f"Workspace.images {_SERVE}")

    @property
    def webservices(self) -> NoReturn:
        """Not here."""
        raise NotImplementedError(f"Workspace.webservices {_SERVE}")

    @property
    def linked_services(self) -> NoReturn:
        """Not here."""
        raise _not_here("linked_services", "nothing is linked to it")

    @staticmethod
    def setup() -> NoReturn:
        """Not here."""
        raise _not_here("setup", "use Workspace.from_config() or Workspace.create(name)")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Workspace) and (self.name, self.home) == (other.name, other.home)

    def __hash__(self) -> int:
        return hash((self.name, self.home))

    def __repr__(self) -> str:
        return f"Workspace(name={self.name!r}, home={str(self.home)!r})"


def _search(start: Path, names: tuple[str, ...]) -> Path | None:
    for folder in (start, *start.parents):
        for inner in _FOLDERS:
            for name in names:
                path = folder / inner / name
                if path.is_file() and (inner != "." or _names_workspace(path)):
                    return path
    return None


def _names_workspace(path: Path) -> bool:
    """Whether a plain ``config.json`` is one of ours: other programs use that name too."""
    try:
        return "workspace_name" in json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, TypeError, RecursionError):
        return False
