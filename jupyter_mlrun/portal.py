"""The page of a run on a running Jupyter server of this user, where there is one with our extension.

Reads and writes ``jupyter_mlrun-<pid>.json`` in Jupyter's runtime folder: where a server is, never how to log in.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from jupyter_core.paths import jupyter_runtime_dir

from jupyter_mlrun.rundir import dump_json, make_folder, write_atomic
from jupyter_mlrun.worker import process

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARK = re.compile(r"jupyter_mlrun-\d+\.json\Z")
_ADDRESS = re.compile(r"https?://[^\s?#@]+\Z")
MOST = 100


def announce(address: str, home: Path) -> None:
    """This process serves the runs of *home* at *address*."""
    folder = Path(jupyter_runtime_dir())
    make_folder(folder)
    found = {"url": address.rstrip("/"), "home": str(home), **process.identity()}
    write_atomic(folder / f"jupyter_mlrun-{os.getpid()}.json", dump_json(found), sync=False)


def withdraw() -> None:
    """This process serves no more."""
    with suppress(OSError):
        (Path(jupyter_runtime_dir()) / f"jupyter_mlrun-{os.getpid()}.json").unlink(missing_ok=True)


def servers(home: Path) -> Iterator[str]:
    """The addresses of running servers that show the runs of *home*, the latest first.

    Nobody is asked: a server is there if its process is.
    """
    folder = jupyter_runtime_dir()
    try:
        names = [entry for entry in os.scandir(folder) if _MARK.match(entry.name)]
        names.sort(key=lambda entry: entry.stat().st_mtime, reverse=True)
    except OSError:
        return
    for entry in names[:MOST]:
        found = _read(entry.path)
        if found is not None and found.get("home") == str(home) and _ADDRESS.match(str(found.get("url"))):
            yield str(found["url"])


def started_us(home: Path) -> bool:
    """Whether this process is a kernel of a server that shows the runs of *home*: its pages draw them by themselves."""
    server = os.environ.get("JPY_PARENT_PID", "")
    if not server.isdecimal():
        return False
    found = _read(os.path.join(jupyter_runtime_dir(), f"jupyter_mlrun-{server}.json"))
    return found is not None and found.get("home") == str(home)


def _read(path: str) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read(65_536))
        return found if isinstance(found, dict) and process.is_alive(found) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not ours, torn, or just removed


def address_of(home: Path, workspace: str, run_id: str) -> str | None:
    """The run's page on a running server; None where there is none."""
    for server in servers(home):
        more = "" if workspace == "default" else "?" + urlencode({"workspace": workspace})
        return f"{server}/runs/{quote(run_id, safe='')}{more}"
    return None
