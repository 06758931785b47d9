"""``ComputeTarget`` and ``AmlCompute``: names for places where runs go; each of them is this machine so far.

Reads and writes ``computes/NAME.json`` of the workspace.
"""

from __future__ import annotations

import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from jupyter_mlrun.errors import BadInput, Conflict, NotFound, an
from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.sdk.computes import (
    DEFAULTS,
    LOCAL,
    SIZES,
    AmlComputeProvisioningConfiguration,
    add,
    backend_of,
    check,
    known,
    record_of,
    remove,
    rows,
    say_no_gpu,
)  # fmt: skip
from jupyter_mlrun.sdk.computestatus import AmlComputeNodeStateCounts, AmlComputeStatus, ScaleSettings
from jupyter_mlrun.store.index import listing
from jupyter_mlrun.store.registry import Named, check_name
from jupyter_mlrun.words import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jupyter_mlrun.sdk.run import Run
    from jupyter_mlrun.sdk.workspace import Workspace
    from jupyter_mlrun.store.index import Row

__all__ = [
    "AmlCompute", "AmlComputeNodeStateCounts", "AmlComputeProvisioningConfiguration", "AmlComputeStatus",
    "ComputeTarget", "ComputeTargetException", "RemoteCompute", "RemoteComputeAttachConfiguration", "ScaleSettings",
    "add", "backend_of", "check", "compute_targets", "known", "remove", "rows",
]  # fmt: skip
_REMOTE = "comes in a later release: use compute_target='local' or an AmlCompute, which run on this machine"
_CLOUD = "is not here: a compute is this machine; ask for CPUs, memory and GPUs when you submit"


class ComputeTargetException(NotFound):
    """No compute has that name.  Source: ``azureml.core.compute_target.ComputeTargetException``."""


class ComputeTarget:
    """A compute of the workspace; ``ComputeTarget(workspace, name)`` is of the kind that it is.

    Raises ``ComputeTargetException`` for a name that is not there.  Source: ``azureml.core.ComputeTarget``.
    """

    def __new__(cls, workspace: Workspace, name: str) -> ComputeTarget:  # noqa: PYI034 -- a kind of it
        record = record_of(workspace, name)
        if record is None:
            raise ComputeTargetException(
                f"ComputeTargetNotFound: Compute Target with name {name} not found in provided workspace",
                hint=did_you_mean(str(name), known(workspace)),
            )
        kind = AmlCompute if record["type"] == "AmlCompute" else LocalCompute
        if cls is not ComputeTarget and not issubclass(kind, cls):
            raise ComputeTargetException(f"the compute {name!r} is {an(kind.__name__)}, not {an(cls.__name__)}")
        return object.__new__(kind)

    def __init__(self, workspace: Workspace, name: str) -> None:
        self.workspace, self.name = workspace, name
        self.id = f"{workspace.name}/computes/{name}"
        self.location = self.cluster_location = "local"
        self.provisioning_state = "Succeeded"
        self.provisioning_errors: list[Any] = []
        self._new = False
        self.refresh_state()

    @staticmethod
    def create(
        workspace: Workspace, name: str, provisioning_configuration: AmlComputeProvisioningConfiguration
    ) -> AmlCompute:
        """Make a compute; one of that name takes the new configuration.

        Raises ``BadInput`` for a configuration or name that cannot be, ``Conflict`` for ``local``.
        """
        if not isinstance(provisioning_configuration, AmlComputeProvisioningConfiguration):
            kind = type(provisioning_configuration).__name__
            raise BadInput(f"{an(kind)} is no configuration", hint="AmlCompute.provisioning_configuration(vm_size=…)")
        provisioning_configuration.validate_configuration()
        if name == LOCAL:
            raise Conflict("the compute 'local' belongs to every workspace", hint="choose another name")
        check_name("compute", name)
        Named(workspace.folder, "compute").put(name, provisioning_configuration.record())
        say_no_gpu(name, provisioning_configuration.vm_size)
        made = AmlCompute(workspace, name)
        made._new = True
        return made

    @staticmethod
    def attach(workspace: Workspace, name: str, attach_configuration: Any) -> NoReturn:
        """Not here yet."""
        raise NotImplementedError(f"ComputeTarget.attach {_REMOTE}")

    @staticmethod
    def list(workspace: Workspace) -> list[ComputeTarget]:
        """Every compute of the workspace."""
        return [ComputeTarget(workspace, name) for name in known(workspace)]

    @property
    def record(self) -> dict[str, Any]:
        """What is kept of it."""
        return dict(self._kept)

    @property
    def type(self) -> str:
        """``Local`` or ``AmlCompute``."""
        return str(self._kept["type"])

    @property
    def tags(self) -> dict[str, str]:
        """The tags that it was made with."""
        return dict(self._kept.get("tags") or {})

    @property
    def description(self) -> str | None:
        """What it was described as."""
        return self._kept.get("description")

    @property
    def created_on(self) -> datetime | None:
        """When it was made; None for what every workspace has."""
        made = self._kept.get("created")
        return None if made is None else datetime.fromtimestamp(made, timezone.utc)

    def refresh_state(self) -> None:
        """Read again what is kept of it."""
        found = record_of(self.workspace, self.name)
        self._kept: dict[str, Any] = found if found is not None else getattr(self, "_kept", {})
        self.provisioning_state = "Succeeded" if found is not None else "Deleting"

    def wait_for_completion(self, show_output: bool = False, is_delete_operation: bool = False) -> None:
        """Nothing to wait for: it is there at once, or gone at once."""
        self.refresh_state()
        if show_output:
            print("Succeeded")

    def get_status(self) -> Any:
        """How it is: a word, or an ``AmlComputeStatus``."""
        self.refresh_state()
        return self.provisioning_state

    @property
    def status(self) -> Any:
        """As ``get_status``, as the SDK's first releases had it."""
        return self.get_status()

    def get_active_runs(
        self, type: str | None = None, tags: Any = None, properties: Any = None, status: str | None = None
    ) -> Iterator[Run]:
        """The runs that wait or run here, newest first; *type* and *properties* are not looked at."""
        from jupyter_mlrun.sdk.run import Run

        wanted = {tags: None} if isinstance(tags, str) else dict(tags or {})
        for row in self._active():
            has = all(key in row.tags and value in (None, row.tags[key]) for key, value in wanted.items())
            if has and status in (None, row.status):
                yield Run.at(RunDir(Path(row.path)))

    def _active(self) -> Sequence[Row]:
        return [row for row in listing(self.workspace.folder) if row.target == self.name and not row.over]

    def delete(self) -> None:
        """Forget it.  Raises ``Conflict`` where runs use it; see ``remove``."""
        remove(self.workspace, self.name)
        self.provisioning_state = "Deleting"

    def detach(self) -> NoReturn:
        """Not here: it was not attached."""
        raise NotImplementedError("detach is not here: use delete()")

    def serialize(self) -> dict[str, Any]:
        """Name, type, state and configuration."""
        return {
            "id": self.id, "name": self.name, "type": self.type, "location": self.location, "tags": self.tags,
            "description": self.description, "provisioningState": self.provisioning_state, "provisioningErrors": None,
        }  # fmt: skip

    @staticmethod
    def deserialize(workspace: Workspace, object_dict: dict[str, Any]) -> ComputeTarget:
        """The compute that ``serialize`` told of."""
        return ComputeTarget(workspace, str(object_dict["name"]))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(workspace={self.workspace!r}, name={self.name!r}, type={self.type!r})"


class LocalCompute(ComputeTarget):
    """This machine under its own name."""


class AmlCompute(ComputeTarget):
    """A cluster by name; its nodes are the slots of this machine.  Source: ``azureml.core.compute.AmlCompute``."""

    @staticmethod
    def provisioning_configuration(
        vm_size: str = "",
        vm_priority: str = "dedicated",
        min_nodes: int = 0,
        max_nodes: int | None = None,
        idle_seconds_before_scaledown: float = 1800,
        admin_username: str | None = None,
        admin_user_password: str | None = None,
        admin_user_ssh_key: str | None = None,
        vnet_resourcegroup_name: str | None = None,
        vnet_name: str | None = None,
        subnet_name: str | None = None,
        tags: dict[str, str] | None = None,
        description: str | None = None,
        remote_login_port_public_access: str = "NotSpecified",
        identity_type: str | None = None,
        identity_id: Any = None,
        location: str | None = None,
        enable_node_public_ip: bool = True,
    ) -> AmlComputeProvisioningConfiguration:
        """What ``ComputeTarget.create`` takes.  Accounts, networks and identities are of a cloud, and not kept."""
        return AmlComputeProvisioningConfiguration(
            vm_size,
            vm_priority,
            min_nodes,
            max_nodes,
            idle_seconds_before_scaledown,
            tags=tags,
            description=description,
        )

    @property
    def vm_size(self) -> str:
        """The size that it was made with; it names what a cloud would have, not this machine."""
        return str(self._kept.get("vm_size"))

    @property
    def vm_priority(self) -> str:
        """``dedicated`` or ``lowpriority``."""
        return str(self._kept.get("vm_priority"))

    @property
    def scale_settings(self) -> ScaleSettings:
        """Least and most nodes."""
        kept = {**DEFAULTS, **self._kept}
        return ScaleSettings(kept["min_nodes"], kept["max_nodes"], kept["idle_seconds_before_scaledown"])

    def wait_for_completion(  # type: ignore[override] # the reference has it so
        self,
        show_output: bool = False,
        min_node_count: int | None = None,
        timeout_in_minutes: float = 25,
        is_delete_operation: bool = False,
    ) -> None:
        """Nothing to wait for; *show_output* prints what the reference prints."""
        self.refresh_state()
        if not show_output:
            return
        if is_delete_operation:
            print('Deleting\nProvisioning operation finished, operation "Succeeded"')
            return
        if self._new:
            print("Creating")
        print("Succeeded\nAmlCompute wait for completion finished\n")
        print("Minimum number of nodes requested have been provisioned")
        self._new = False

    def get_status(self) -> AmlComputeStatus:
        """How many nodes, that is slots of this machine, runs use now."""
        self.refresh_state()
        scale, now = self.scale_settings, datetime.now(timezone.utc)
        active = self._active()
        running = sum(row.status not in ("Queued", "NotStarted") for row in active)
        nodes = max(scale.minimum_node_count, running)
        return AmlComputeStatus(
            allocation_state="Steady", allocation_state_transition_time=now, creation_time=self.created_on,
            current_node_count=nodes, errors=None, modified_time=self.created_on,
            node_state_counts=AmlComputeNodeStateCounts(nodes - running, 0, 0, 0, running, 0),
            provisioning_state=self.provisioning_state, provisioning_state_transition_time=None,
            scale_settings=scale, target_node_count=nodes, vm_priority=self.vm_priority, vm_size=self.vm_size,
        )  # fmt: skip

    def get(self) -> dict[str, Any]:
        """As ``serialize``."""
        return self.serialize()

    def serialize(self) -> dict[str, Any]:
        """Name, type, state and configuration."""
        scale = self.scale_settings.serialize()
        inner = {"vmSize": self.vm_size, "vmPriority": self.vm_priority, "scaleSettings": scale}
        return {**super().serialize(), **inner, "status": self.get_status().serialize()}

    def update(
        self,
        min_nodes: int | None = None,
        max_nodes: int | None = None,
        idle_seconds_before_scaledown: float | None = None,
    ) -> None:
        """Change the scale; None leaves what is.  Raises ``BadInput`` for what cannot be."""
        scale = self.scale_settings
        config = AmlComputeProvisioningConfiguration(
            self.vm_size,
            self.vm_priority,
            scale.minimum_node_count if min_nodes is None else min_nodes,
            scale.maximum_node_count if max_nodes is None else max_nodes,
            scale.idle_seconds_before_scaledown
            if idle_seconds_before_scaledown is None
            else idle_seconds_before_scaledown,
            tags=self.tags,
            description=self.description,
        )
        config.validate_configuration()
        created = self._kept.get("created") or time.time()
        Named(self.workspace.folder, "compute").put(self.name, {**config.record(), "created": created})
        self.refresh_state()

    def list_nodes(self) -> list[dict[str, Any]]:
        """A node for each run that is on it now."""
        return [
            {"nodeId": f"local-{place}", "nodeState": "running", "runId": row.run_id, "privateIpAddress": "127.0.0.1"}
            for place, row in enumerate(self._active())
            if row.status not in ("Queued", "NotStarted")
        ]

    @staticmethod
    def supported_vmsizes(workspace: Workspace, location: str | None = None) -> list[dict[str, Any]]:
        """Sizes by which notebooks tell CPU from GPU; a name that is not among them is taken, too."""
        return [
            {"name": name.replace("STANDARD", "Standard"), "vCPUs": cores, "gpus": gpus, "memoryGB": memory,
             "maxResourceVolumeMB": None}
            for name, (cores, gpus, memory) in SIZES.items()
        ]  # fmt: skip

    def add_identity(self, identity_type: str, identity_id: Any = None) -> NoReturn:
        """Not here."""
        raise NotImplementedError(f"AmlCompute.add_identity {_CLOUD}")

    def remove_identity(self, identity_id: Any = None) -> NoReturn:
        """Not here."""
        raise NotImplementedError(f"AmlCompute.remove_identity {_CLOUD}")

    @staticmethod
    def list_usages(workspace: Workspace, show_all: bool = False, location: str | None = None) -> NoReturn:
        """Not here."""
        raise NotImplementedError(f"AmlCompute.list_usages {_CLOUD}")

    @staticmethod
    def list_quotas(workspace: Workspace, location: str | None = None) -> NoReturn:
        """Not here."""
        raise NotImplementedError(f"AmlCompute.list_quotas {_CLOUD}")

    @staticmethod
    def update_quotas(
        workspace: Workspace, vm_family: Any, limit: int | None = None, location: str | None = None
    ) -> NoReturn:
        """Not here."""
        raise NotImplementedError(f"AmlCompute.update_quotas {_CLOUD}")


class RemoteComputeAttachConfiguration:
    """Where a machine with SSH is; kept for a later release."""

    def __init__(self, username: str, address: str | None = None, ssh_port: int = 22, **other: Any) -> None:
        self.username, self.address, self.ssh_port = username, address, ssh_port

    def validate_configuration(self) -> None:
        """Raise ``BadInput`` without an address."""
        if not self.address:
            raise BadInput("a remote compute has an address", hint="attach_configuration(username, address=…)")


class RemoteCompute(ComputeTarget):
    """A machine with SSH: not here yet.  Source: ``azureml.core.compute.RemoteCompute``."""

    @staticmethod
    def attach(workspace: Workspace, name: str, *args: Any, **kwargs: Any) -> NoReturn:
        """Not here yet."""
        raise NotImplementedError(f"RemoteCompute.attach {_REMOTE}")

    @staticmethod
    def attach_configuration(
        username: str,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        vm_name: str | None = None,
        resource_id: str | None = None,
        address: str | None = None,
        ssh_port: int = 22,
        password: str = "",
        private_key_file: str = "",
        private_key_passphrase: str = "",
    ) -> RemoteComputeAttachConfiguration:
        """What ``ComputeTarget.attach`` would take; no password is kept."""
        return RemoteComputeAttachConfiguration(username, address, ssh_port)

    def get_credentials(self) -> NoReturn:
        """Not here: no password is kept."""
        raise NotImplementedError(
            "RemoteCompute.get_credentials is not here: no credentials are kept, use your ssh keys"
        )


def compute_targets(workspace: Workspace) -> dict[str, ComputeTarget]:
    """Every compute by name."""
    return {name: ComputeTarget(workspace, name) for name in known(workspace)}
