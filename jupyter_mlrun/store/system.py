"""What a run used of the machine, as series for charts and as the latest figures.

Reads ``system.jsonl``, which the run's worker writes.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.records import check_format

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_mlrun.rundir import RunDir

TAIL_BYTES = 8192


@dataclass(frozen=True)
class Host:
    """The machine that the run had: cores, bytes, and of each of its GPUs ``uuid``, ``name``, ``memory`` (bytes)."""

    cores: int = 0
    memory: int = 0
    gpus: tuple[Mapping[str, Any], ...] = ()


@dataclass
class Series:
    """One figure over time: unix times, values, and what they are measured in."""

    name: str
    unit: str  # "%" (100 is one core, or a whole GPU), "bytes", "bytes/s" or "" for a count
    times: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Latest:
    """The last figures: unix time, and a value by the name of each series."""

    time: float
    values: dict[str, float]
    host: Host
    cpu_seconds: float  # CPU time of the whole run so far


class SystemReader:
    """Reads what came since it read last; ``series`` grows.  For views that stay open."""

    def __init__(self, run: RunDir) -> None:
        self.path = run.system
        self.host = Host()
        self.series: dict[str, Series] = {}
        self.last: dict[str, Any] | None = None
        self._offset, self._file = 0, -1

    def read(self) -> bool:
        """Whether anything came.  A file that was thinned is read anew."""
        try:
            with open(self.path, "rb") as file:
                found = os.fstat(file.fileno())
                if found.st_ino != self._file or found.st_size < self._offset:
                    self._file, self._offset, self.series, self.last = found.st_ino, 0, {}, None
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return False
        whole = data.rfind(b"\n") + 1
        self._offset += whole
        for line in data[:whole].splitlines():
            one = _parse(line)
            if "format" in one:
                self.host = _host(one)
            elif "time" in one:
                self._add(one)
        return bool(whole)

    def _add(self, one: dict[str, Any]) -> None:
        for name, (value, unit) in _figures(self.last, one).items():
            series = self.series.setdefault(name, Series(name, unit))
            series.times.append(float(one["time"]))
            series.values.append(value)
        self.last = one


def series(run: RunDir) -> dict[str, Series]:
    """Every series by name: ``cpu``, ``memory``, ``processes``, ``disk_read``, ``disk_written``, ``disk_free``,
    and ``gpu<n>``, ``gpu<n>_memory`` of each GPU of the run.  Empty where nothing was sampled.
    """
    reader = SystemReader(run)
    reader.read()
    return reader.series


def latest(run: RunDir) -> Latest | None:
    """The last figures; None where nothing was sampled.  Reads the ends of the file only."""
    try:
        with open(run.system, "rb") as file:
            host = _host(_parse(file.readline()))
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
            lines = [one for one in map(_parse, file.read().split(b"\n")) if "time" in one]
    except FileNotFoundError:
        return None
    if not lines:
        return None
    before = lines[-2] if len(lines) > 1 else None
    values = {name: value for name, (value, _) in _figures(before, lines[-1]).items()}
    return Latest(float(lines[-1]["time"]), values, host, float(lines[-1].get("cpu") or 0.0))


def _parse(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:  # torn by a kill, or cut by us
        return {}
    return found if isinstance(found, dict) else {}


def _host(head: Mapping[str, Any]) -> Host:
    check_format(head, "system.jsonl")
    return Host(int(head.get("cores") or 0), int(head.get("memory") or 0), tuple(head.get("gpus") or ()))


def _figures(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
    """What a sample says, and with the one before it what the sums between them say; missing is left out."""
    found: dict[str, tuple[float, str]] = {}
    passed = float(now["mono"]) - float(before["mono"]) if before is not None else 0.0
    if before is not None and passed > 0:
        for name, key, unit, scale in (
            ("cpu", "cpu", "%", 100.0),
            ("disk_read", "read", "bytes/s", 1.0),
            ("disk_written", "written", "bytes/s", 1.0),
        ):
            if key in now and key in before:
                found[name] = (max(0.0, float(now[key]) - float(before[key])) / passed * scale, unit)
    for name, key, unit in (
        ("memory", "memory", "bytes"),
        ("processes", "processes", ""),
        ("disk_free", "free", "bytes"),
    ):
        if now.get(key) is not None:
            found[name] = (float(now[key]), unit)
    for number, gpu in enumerate(now.get("gpus") or ()):
        percent, used = gpu or (None, None)
        if percent is not None:
            found[f"gpu{number}"] = (float(percent), "%")
        if used is not None:
            found[f"gpu{number}_memory"] = (float(used), "bytes")
    return found
