"""How an ``AmlCompute`` is at a moment: its nodes and its scale.

Reads and writes nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


@dataclass(frozen=True)
class ScaleSettings:
    """Least and most nodes; seconds that an idle one would stay."""

    minimum_node_count: int
    maximum_node_count: int
    idle_seconds_before_scaledown: float

    def serialize(self) -> dict[str, Any]:
        """As a dict, as the reference writes it."""
        return {
            "minNodeCount": self.minimum_node_count,
            "maxNodeCount": self.maximum_node_count,
            "nodeIdleTimeBeforeScaleDown": f"PT{int(self.idle_seconds_before_scaledown)}S",
        }

    @staticmethod
    def deserialize(object_dict: dict[str, Any]) -> ScaleSettings:
        """What ``serialize`` gave."""
        idle = str(object_dict["nodeIdleTimeBeforeScaleDown"])
        return ScaleSettings(object_dict["minNodeCount"], object_dict["maxNodeCount"], float(idle.strip("PTS")))


@dataclass(frozen=True)
class AmlComputeNodeStateCounts:
    """How many nodes are in which state."""

    idle_node_count: int
    leaving_node_count: int
    preempted_node_count: int
    preparing_node_count: int
    running_node_count: int
    unusable_node_count: int

    def serialize(self) -> dict[str, Any]:
        """As a dict, as the reference writes it."""
        return {_camel(name): value for name, value in asdict(self).items()}

    @staticmethod
    def deserialize(object_dict: dict[str, Any]) -> AmlComputeNodeStateCounts:
        """What ``serialize`` gave."""
        return AmlComputeNodeStateCounts(**{one.name: object_dict[_camel(one.name)] for one in _COUNTS})


@dataclass(frozen=True)
class AmlComputeStatus:
    """How a cluster is.  Source: ``azureml.core.compute.amlcompute.AmlComputeStatus``."""

    allocation_state: str
    allocation_state_transition_time: datetime | None
    creation_time: datetime | None
    current_node_count: int
    errors: Any
    modified_time: datetime | None
    node_state_counts: AmlComputeNodeStateCounts
    provisioning_state: str
    provisioning_state_transition_time: datetime | None
    scale_settings: ScaleSettings
    target_node_count: int
    vm_priority: str
    vm_size: str

    def serialize(self) -> dict[str, Any]:
        """As a dict, as the reference writes it: times in ISO 8601."""
        found: dict[str, Any] = {}
        for name, value in vars(self).items():
            if hasattr(value, "serialize"):
                found[_camel(name)] = value.serialize()
            else:
                found[_camel(name)] = value.isoformat() if hasattr(value, "isoformat") else value
        return found

    @staticmethod
    def deserialize(object_dict: dict[str, Any]) -> AmlComputeStatus:
        """What ``serialize`` gave."""
        found = {one.name: object_dict.get(_camel(one.name)) for one in fields(AmlComputeStatus)}
        for name in _TIMES:
            found[name] = None if found[name] is None else datetime.fromisoformat(str(found[name]))
        found["scale_settings"] = ScaleSettings.deserialize(object_dict["scaleSettings"])
        found["node_state_counts"] = AmlComputeNodeStateCounts.deserialize(object_dict["nodeStateCounts"])
        return AmlComputeStatus(**found)  # type: ignore[arg-type] # the values of a dict have no types


_COUNTS = fields(AmlComputeNodeStateCounts)
_TIMES = (
    "allocation_state_transition_time", "creation_time", "modified_time", "provisioning_state_transition_time",
)  # fmt: skip
