"""How many processes a run has: ``MpiConfiguration``, ``PyTorchConfiguration``, ``TensorflowConfiguration``.

Reads and writes nothing.
"""

from __future__ import annotations

from typing import Any

from jupyter_mlrun.errors import BadInput

BACKENDS = ("nccl", "gloo")


def _count(what: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadInput(f"{what} {value!r} is no count", hint="give a whole number from 1")
    return value


class MpiConfiguration:
    """So many processes on each of so many nodes.  Source: ``azureml.core.runconfig.MpiConfiguration``.

    Each process gets ``RANK``, ``LOCAL_RANK``, ``WORLD_SIZE``, ``MASTER_ADDR`` and ``MASTER_PORT``; no ``mpirun`` is
    needed.  Raises ``BadInput`` for what is no count.
    """

    def __init__(self, process_count_per_node: int = 1, node_count: int = 1) -> None:
        self.process_count_per_node = _count("process_count_per_node", process_count_per_node)
        self.node_count = _count("node_count", node_count)

    @property
    def processes(self) -> int:
        """On each node."""
        return self.process_count_per_node


class PyTorchConfiguration:
    """So many processes in all.  Source: ``azureml.core.runconfig.PyTorchConfiguration``.

    Args:
        communication_backend: ``Nccl`` or ``Gloo``, in any case of letters; the script chooses it, this is a record.
        process_count: over all nodes, a multiple of *node_count*; None is one on each.
        node_count: nodes.

    Raises ``BadInput`` for anything else.
    """

    def __init__(
        self, communication_backend: str = "Nccl", process_count: int | None = None, node_count: int = 1
    ) -> None:
        if str(communication_backend).lower() not in BACKENDS:
            raise BadInput(f"{communication_backend!r} is no communication_backend", hint="Nccl or Gloo")
        self.communication_backend = communication_backend
        self.node_count = _count("node_count", node_count)
        self.process_count = None if process_count is None else _count("process_count", process_count)

    @property
    def processes(self) -> int:
        """On each node."""
        total = self.node_count if self.process_count is None else self.process_count
        if total % self.node_count:
            raise BadInput(
                f"{total} processes do not spread over {self.node_count} nodes",
                hint="process_count is the number of all processes: a multiple of node_count",
            )
        return total // self.node_count


class TensorflowConfiguration:
    """Workers and parameter servers.  Source: ``azureml.core.runconfig.TensorflowConfiguration``.

    One worker runs as any script does; for more, no ``TF_CONFIG`` is made.
    """

    def __init__(self, worker_count: int = 1, parameter_server_count: int = 1) -> None:
        self.worker_count = _count("worker_count", worker_count)
        self.parameter_server_count = parameter_server_count
        self.node_count = 1

    @property
    def processes(self) -> int:
        """On each node; ``NotImplementedError`` for more than one worker."""
        if self.worker_count > 1:
            raise NotImplementedError(
                "TensorflowConfiguration with several workers is not here: use MpiConfiguration, whose processes get "
                "RANK and WORLD_SIZE, and make TF_CONFIG of them"
            )
        return 1


class DockerConfiguration:
    """What a container would be; recorded, since runs use an interpreter in place.

    Source: ``azureml.core.runconfig.DockerConfiguration``.
    """

    def __init__(
        self,
        use_docker: bool = False,
        shared_volumes: bool = True,
        arguments: list[str] | None = None,
        shm_size: str | None = "2g",
    ) -> None:
        self.use_docker, self.shared_volumes = use_docker, shared_volumes
        self.arguments, self.shm_size = list(arguments or ()), shm_size


Distributed = MpiConfiguration | PyTorchConfiguration | TensorflowConfiguration
