"""The GPUs of this machine as NVIDIA's driver tells them: what there is, how full, how busy, and whose processes.

Reads ``libnvidia-ml.so.1`` by ctypes; writes nothing.  Where there is no driver there is no GPU, and no error.
"""

from __future__ import annotations

import ctypes
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

LIBRARY = "libnvidia-ml.so.1"
_TOO_SMALL = 7
_UNKNOWN = (1 << 64) - 1
_TEXT_BYTES = 96


class Device(NamedTuple):
    """One GPU, or one MIG part of one; memory in bytes (0 where the driver does not say)."""

    uuid: str
    name: str
    memory: int
    part: bool = False


class Use(NamedTuple):
    """How full and how busy a GPU is: bytes, and percent of the last moments (None where it is not told)."""

    total: int
    free: int
    percent: Optional[float] = None


class _Memory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


class _Rates(ctypes.Structure):
    _fields_ = [("gpu", ctypes.c_uint), ("memory", ctypes.c_uint)]


class _Process(ctypes.Structure):
    _fields_ = [
        ("pid", ctypes.c_uint),
        ("used", ctypes.c_ulonglong),
        ("instance", ctypes.c_uint),
        ("compute", ctypes.c_uint),
    ]


class _OldProcess(ctypes.Structure):
    _fields_ = [("pid", ctypes.c_uint), ("used", ctypes.c_ulonglong)]


# newest first; each version has its own layout
_PROCESSES = (
    ("nvmlDeviceGetComputeRunningProcesses_v3", _Process),
    ("nvmlDeviceGetComputeRunningProcesses_v2", _Process),
    ("nvmlDeviceGetComputeRunningProcesses", _OldProcess),
)


def open_driver() -> Optional[Nvml]:
    """The driver, which must be closed again; None where there is none that answers."""
    try:
        library = ctypes.CDLL(LIBRARY)
        started = library.nvmlInit_v2()
    except (OSError, AttributeError):
        return None
    return Nvml(library) if started == 0 else None


class Nvml:
    """NVML between its init and its shutdown.  What the driver does not tell is None, 0 or empty, never an error."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._handles: Dict[str, ctypes.c_void_p] = {}

    def close(self) -> None:
        """Give the driver back."""
        self._call("nvmlShutdown")

    def devices(self) -> List[Device]:
        """Every GPU in the driver's order; one that is cut by MIG as its parts."""
        found = []
        count = ctypes.c_uint()
        self._call("nvmlDeviceGetCount_v2", ctypes.byref(count))
        for index in range(count.value):
            handle = ctypes.c_void_p()
            if self._call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(index), ctypes.byref(handle)):
                parts = self._parts(handle)
                found += [self._device(handle)] if parts is None else [self._device(part, part=True) for part in parts]
        return [device for device in found if device.uuid]

    def _parts(self, handle: ctypes.c_void_p) -> Optional[List[ctypes.c_void_p]]:
        """The MIG parts of a GPU; None of one that is whole."""
        now, then, most = ctypes.c_uint(), ctypes.c_uint(), ctypes.c_uint()
        if not self._call("nvmlDeviceGetMigMode", handle, ctypes.byref(now), ctypes.byref(then)) or not now.value:
            return None
        self._call("nvmlDeviceGetMaxMigDeviceCount", handle, ctypes.byref(most))
        found = []
        for index in range(most.value):
            part = ctypes.c_void_p()
            if self._call("nvmlDeviceGetMigDeviceHandleByIndex", handle, ctypes.c_uint(index), ctypes.byref(part)):
                found.append(part)
        return found

    def _device(self, handle: ctypes.c_void_p, *, part: bool = False) -> Device:
        uuid = self._text("nvmlDeviceGetUUID", handle)
        self._handles[uuid] = handle
        memory = self._memory(handle)
        return Device(uuid, self._text("nvmlDeviceGetName", handle), memory.total, part)

    def _text(self, name: str, handle: ctypes.c_void_p) -> str:
        text = ctypes.create_string_buffer(_TEXT_BYTES)
        return text.value.decode("utf-8", "replace") if self._call(name, handle, text, _TEXT_BYTES) else ""

    def _memory(self, handle: ctypes.c_void_p) -> _Memory:
        memory = _Memory()
        if not self._call("nvmlDeviceGetMemoryInfo", handle, ctypes.byref(memory)):
            return _Memory()
        return memory

    def _handle(self, uuid: str) -> Optional[ctypes.c_void_p]:
        if uuid not in self._handles:
            handle = ctypes.c_void_p()
            if not self._call("nvmlDeviceGetHandleByUUID", uuid.encode(), ctypes.byref(handle)):
                return None
            self._handles[uuid] = handle
        return self._handles[uuid]

    def use(self, uuid: str) -> Optional[Use]:
        """How full and busy that GPU is now; None when it is gone."""
        handle = self._handle(uuid)
        if handle is None:
            return None
        memory, rates = self._memory(handle), _Rates()
        told = self._call("nvmlDeviceGetUtilizationRates", handle, ctypes.byref(rates))  # not of MIG parts
        return Use(memory.total, memory.free, float(rates.gpu) if told else None)

    def holders(self, uuid: str) -> List[Tuple[int, Optional[int]]]:
        """(pid, bytes or None) of each process that computes on that GPU.

        In a container the driver may tell nobody, or the pids of the host.
        """
        handle = self._handle(uuid)
        if handle is None:
            return []
        for name, layout in _PROCESSES:
            if hasattr(self._library, name):
                return self._holders(name, layout, handle)
        return []

    def _holders(self, name: str, layout: Any, handle: ctypes.c_void_p) -> List[Tuple[int, Optional[int]]]:
        size = 32
        while size <= 4096:
            count, rows = ctypes.c_uint(size), (layout * size)()
            answer = getattr(self._library, name)(handle, ctypes.byref(count), rows)
            if answer == 0:
                return [(row.pid, None if row.used == _UNKNOWN else row.used) for row in rows[: count.value]]
            if answer != _TOO_SMALL:
                return []
            size *= 4  # more came meanwhile
        return []

    def _call(self, name: str, *arguments: Any) -> bool:
        try:
            return bool(getattr(self._library, name)(*arguments) == 0)
        except AttributeError:  # a driver older than this call
            return False
