"""What this machine has, and what a request for a part of it means.

Reads ``/proc``, control groups and NVML; writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_mlrun.errors import BadInput
from jupyter_mlrun.ui.words import size
from jupyter_mlrun.worker import limits, nvml

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_mlrun.records import Resources


@dataclass(frozen=True)
class Gpu:
    """One GPU, or a MIG part of one, as NVML tells it; memory in bytes."""

    uuid: str
    name: str
    memory: int
    part: bool = False


@dataclass(frozen=True)
class Machine:
    """What this machine has; memory in bytes."""

    cores: int
    memory: int
    gpus: tuple[Gpu, ...] = ()

    def slots(self, max_concurrent: int = 0) -> int:
        """How many runs without a GPU go at once."""
        return max_concurrent or max(2, self.cores // 4)

    def visible(self, tokens: Sequence[str] | None) -> tuple[Gpu, ...]:
        """The GPUs that a ``CUDA_VISIBLE_DEVICES`` of these tokens shows; None shows all."""
        if tokens is None:
            return self.gpus
        found = []
        for token in tokens:
            if token.isdigit() and int(token) < len(self.gpus):
                found.append(self.gpus[int(token)])
                continue
            match = [gpu for gpu in self.gpus if token and gpu.uuid.startswith(token)]
            if len(match) != 1:
                break  # CUDA hides everything from the first token that it does not know
            found.append(match[0])
        return tuple(dict.fromkeys(found))

    def together(self, tokens: Sequence[str] | None) -> int:
        """The most GPUs that one run can have: the whole ones; of MIG parts, a process can use only one."""
        seen = self.visible(tokens)
        return sum(not gpu.part for gpu in seen) or min(1, len(seen))

    def gpu_count(self, asked: int | str, tokens: Sequence[str] | None) -> int:
        """The number of GPUs that *asked* ("auto", "all" or a count) means for this submitter."""
        most = self.together(tokens)
        if asked == "auto":
            return min(1, most)
        return most if asked == "all" else int(asked)

    def place(self, uuid: str) -> str:
        """What people call that GPU: its number in the driver's order."""
        return next((str(n) for n, gpu in enumerate(self.gpus) if gpu.uuid == uuid), uuid)

    def check(self, asked: Resources, tokens: Sequence[str] | None) -> None:
        """Raise ``BadInput`` with what there is, when *asked* can never be had here."""
        most = self.together(tokens)
        wants = [
            (self.gpu_count(asked.gpus, tokens), most, "GPU", "--gpus"),
            (asked.cpus or 0, self.cores, "CPU core", "--cpus"),
            (asked.nodes, 1, "node", "-n"),
        ]
        for want, there, what, option in wants:
            if want > there:
                hint = f"it has {self.describe()}; ask for {option} {there} or less"
                if tokens is not None and option == "--gpus":
                    hint += f"; CUDA_VISIBLE_DEVICES shows {len(self.visible(tokens))} of them here"
                raise BadInput(f"{option} asks for {want} {what}s; the local compute has {there}", hint=hint)
        if asked.memory is not None and asked.memory > self.memory:
            raise BadInput(
                f"--memory asks for {size(asked.memory)}; the local compute has {size(self.memory)}",
                hint=f"it has {self.describe()}; ask for --memory {self.memory // 1000**2}MB or less",
            )

    def describe(self) -> str:
        """The machine in words."""
        gpus = ", ".join(gpu.name for gpu in self.gpus) or "no GPU"
        return f"{self.cores} CPU cores, {self.memory / 2**30:.0f} GiB of memory, {gpus}"


def gpus() -> tuple[Gpu, ...]:
    """The GPUs of this machine; none where there is no driver."""
    driver = nvml.open_driver()
    if driver is None:
        return ()
    try:
        return tuple(Gpu(*device) for device in driver.devices())
    finally:
        driver.close()


def look(found: tuple[Gpu, ...]) -> Machine:
    """This machine with these GPUs, as far as this process may use it."""
    return Machine(cores=limits.cores(), memory=limits.memory(), gpus=found)
