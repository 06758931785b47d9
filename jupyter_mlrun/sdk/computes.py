"""Computes by name: what the workspace has, and which backend serves each; all of them are this machine so far.

Reads and writes ``computes/NAME.json`` of the workspace.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import BadInput, Conflict, NotFound
from jupyter_mlrun.sdk import once
from jupyter_mlrun.sdk.places import folder_of
from jupyter_mlrun.store.index import listing
from jupyter_mlrun.store.registry import Named
from jupyter_mlrun.words import did_you_mean

if TYPE_CHECKING:
    from jupyter_mlrun.sdk.workspace import Workspace

LOCAL, CLUSTER = "local", "cpu-cluster"
DEFAULTS: dict[str, Any] = {
    "min_nodes": 0,
    "max_nodes": 4,
    "idle_seconds_before_scaledown": 1800,
    "vm_priority": "dedicated",
}
_CPU_SIZE = "STANDARD_D2_V2"
# a workspace has these from the start
_BUILT_IN: dict[str, dict[str, Any]] = {
    LOCAL: {"type": "Local", "backend": "local"},
    CLUSTER: {"type": "AmlCompute", "backend": "local", "vm_size": _CPU_SIZE, **DEFAULTS},
}
# name: (CPU cores, GPUs, GiB of memory); what notebooks ask for
SIZES = {
    "STANDARD_D1_V2": (1, 0, 3.5), "STANDARD_D2_V2": (2, 0, 7.0), "STANDARD_D3_V2": (4, 0, 14.0),
    "STANDARD_D4_V2": (8, 0, 28.0), "STANDARD_D12_V2": (4, 0, 28.0), "STANDARD_D13_V2": (8, 0, 56.0),
    "STANDARD_DS2_V2": (2, 0, 7.0), "STANDARD_DS3_V2": (4, 0, 14.0), "STANDARD_DS11_V2": (2, 0, 14.0),
    "STANDARD_DS12_V2": (4, 0, 28.0), "STANDARD_F4S_V2": (4, 0, 8.0), "STANDARD_NC6": (6, 1, 56.0),
    "STANDARD_NC12": (12, 2, 112.0), "STANDARD_NC24": (24, 4, 224.0), "STANDARD_NC24R": (24, 4, 224.0),
    "STANDARD_NC6S_V2": (6, 1, 112.0), "STANDARD_NC6S_V3": (6, 1, 112.0), "STANDARD_NC12S_V3": (12, 2, 224.0),
    "STANDARD_NC24S_V3": (24, 4, 448.0), "STANDARD_NC24RS_V3": (24, 4, 448.0), "STANDARD_NV6": (6, 1, 56.0),
    "STANDARD_ND6S": (6, 1, 112.0), "STANDARD_ND40RS_V2": (40, 8, 672.0),
}  # fmt: skip
_SIZE = re.compile(r"[A-Za-z][\w-]{1,63}\Z")


def known(workspace: Workspace) -> list[str]:
    """The names of the workspace's computes."""
    return sorted({*_BUILT_IN, *Named(folder_of(workspace), "compute").names()})


def record_of(workspace: Workspace, name: str) -> dict[str, Any] | None:
    """What is kept of a compute; None where there is none of that name."""
    if name == LOCAL:  # not even a look at the disk
        return _BUILT_IN[LOCAL]
    found = Named(folder_of(workspace), "compute").get(name)
    return found if found is not None else _BUILT_IN.get(name)


def backend_of(workspace: Workspace, name: str) -> str:
    """The name of the backend that runs for the compute *name* go to; only ``local`` so far.

    Raises ``NotFound`` with the names there are.  A compute with GPUs on a machine without is said once.
    """
    record = record_of(workspace, name)
    if record is None:
        raise NotFound(f"no compute {name!r}", hint=did_you_mean(name, known(workspace)))
    say_no_gpu(name, record.get("vm_size"))
    return str(record["backend"])


def rows(workspace: Workspace) -> list[dict[str, Any]]:
    """Every compute as a listing shows it: name, type, backend, vm_size, max_nodes, built_in, active (runs)."""
    active = [row.target for row in listing(workspace.folder) if not row.over]
    found = []
    for name in known(workspace):
        record = record_of(workspace, name) or {}
        shown = {key: record.get(key) for key in ("type", "backend", "vm_size", "max_nodes")}
        found.append({"name": name, **shown, "built_in": name in _BUILT_IN, "active": active.count(name)})
    return found


def add(workspace: Workspace, name: str, *, vm_size: str = _CPU_SIZE, max_nodes: int | None = None) -> dict[str, Any]:
    """Make a compute of this machine's; returns its record.  One that is there is a ``Conflict``."""
    if name in known(workspace):
        raise Conflict(f"there is a compute {name!r} already", hint="choose another name, or remove it first")
    config = AmlComputeProvisioningConfiguration(vm_size, max_nodes=max_nodes)
    config.validate_configuration()
    return Named(folder_of(workspace), "compute").put(name, config.record(), replace=False)


def remove(workspace: Workspace, name: str) -> None:
    """Forget a compute; ``cpu-cluster`` is then again as it was at first.

    Raises ``NotFound`` for a name that is not there, ``Conflict`` where runs wait or run on it, and for ``local``.
    """
    if name in _BUILT_IN and name not in Named(folder_of(workspace), "compute").names():
        raise Conflict(f"the compute {name!r} belongs to every workspace and stays")
    if record_of(workspace, name) is None:
        raise NotFound(f"no compute {name!r}", hint=did_you_mean(name, known(workspace)))
    busy = [row.run_id for row in listing(workspace.folder) if row.target == name and not row.over]
    if busy:
        raise Conflict(f"{len(busy)} runs use the compute {name!r}", hint=f"jupyter mlrun stop {' '.join(busy[:3])}")
    Named(folder_of(workspace), "compute").remove(name)


def check(workspace: Workspace, name: str) -> dict[str, Any]:
    """What a compute is now: its record, what the machine has, and how many runs use it."""
    from jupyter_mlrun.backends import local

    backend = backend_of(workspace, name)
    row = next(row for row in rows(workspace) if row["name"] == name)
    return {**row, "backend": backend, "usable": True, "machine": local.look().describe()}


def gpus_of(vm_size: str | None) -> int:
    """How many GPUs a size of the cloud would have."""
    size = str(vm_size or "").upper()
    return SIZES[size][1] if size in SIZES else int(size.startswith("STANDARD_N"))


def say_no_gpu(name: str, vm_size: str | None) -> None:
    """Tell once that a compute with GPUs has none here."""
    if not gpus_of(vm_size):
        return
    from jupyter_mlrun.backends import local

    if not local.look().gpus:
        once.warn(f"compute {name!r} is a {vm_size}, but this machine has no GPU: its runs use the CPU")


class AmlComputeProvisioningConfiguration:
    """What a compute is to be.  Source: ``azureml.core.compute.amlcompute``."""

    def __init__(
        self,
        vm_size: str = "",
        vm_priority: str = "dedicated",
        min_nodes: int = 0,
        max_nodes: int | None = None,
        idle_seconds_before_scaledown: float = 1800,
        *,
        tags: dict[str, str] | None = None,
        description: str | None = None,
        **_of_a_cloud: Any,
    ) -> None:
        self.vm_size, self.vm_priority = vm_size, vm_priority
        self.min_nodes, self.max_nodes = min_nodes, DEFAULTS["max_nodes"] if max_nodes is None else max_nodes
        self.idle_seconds_before_scaledown = idle_seconds_before_scaledown
        self.tags, self.description = dict(tags or {}), description
        self.location = "local"

    def validate_configuration(self) -> None:
        """Raise ``BadInput`` for what cannot be."""
        if not _SIZE.match(str(self.vm_size or "")):
            raise BadInput(
                f"{self.vm_size!r} is no vm_size", hint="name one like STANDARD_D2_V2, or STANDARD_NC6 for GPUs"
            )
        if self.vm_priority not in ("dedicated", "lowpriority"):
            raise BadInput(f"vm_priority {self.vm_priority!r} is neither 'dedicated' nor 'lowpriority'")
        counts = (self.min_nodes, self.max_nodes, self.idle_seconds_before_scaledown)
        if not all(isinstance(one, (int, float)) and one >= 0 for one in counts):
            raise BadInput("min_nodes, max_nodes and idle_seconds_before_scaledown are numbers from 0")
        if self.min_nodes > self.max_nodes or self.max_nodes < 1:
            raise BadInput(
                f"min_nodes {self.min_nodes} and max_nodes {self.max_nodes} do not fit",
                hint=f"max_nodes={max(self.min_nodes, 1)} or more",
            )

    def record(self) -> dict[str, Any]:
        """As it is kept."""
        return {
            "type": "AmlCompute", "backend": "local", "vm_size": self.vm_size, "vm_priority": self.vm_priority,
            "min_nodes": self.min_nodes, "max_nodes": self.max_nodes, "tags": self.tags,
            "idle_seconds_before_scaledown": self.idle_seconds_before_scaledown, "description": self.description,
        }  # fmt: skip
