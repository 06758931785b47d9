"""The workspaces of a home, for the command line: listed, chosen, removed.

Reads listings; writes ``jupyter_mlrun_config.json`` in Jupyter's configuration folder; removes folders.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

from jupyter_mlrun import settings
from jupyter_mlrun.errors import BadInput, Conflict, NotFound
from jupyter_mlrun.rundir import write_atomic
from jupyter_mlrun.store import home as homes
from jupyter_mlrun.store.index import listing
from jupyter_mlrun.ui.words import count as counted
from jupyter_mlrun.words import did_you_mean

CONFIG = "jupyter_mlrun_config.json"
_REGISTRIES = ("datasets", "models", "environments")


def workspaces(home: Path | None = None) -> list[dict[str, Any]]:
    """Every workspace: name, path, current (whether runs go there now), runs, active."""
    current = settings.load().workspace
    found = []
    for place in homes.workspaces(home or settings.default_home()):
        rows = listing(place)
        active = sum(not row.over for row in rows)
        known = {"name": place.name, "path": str(place.path), "current": place.name == current}
        found.append({**known, "runs": len(rows), "active": active})
    return found


def _place(name: str, home: Path) -> homes.WorkspaceDir:
    place = homes.WorkspaceDir(home, name)
    if not place.path.is_dir():
        raise NotFound(f"no workspace {name!r}", hint=did_you_mean(name, [one.name for one in homes.workspaces(home)]))
    return place


def use(name: str) -> Path:
    """Make *name* the workspace that runs go to from now on; returns the file that says so.

    It need not be there yet.  Raises ``BadInput`` for a name that no workspace may have, for a file that cannot be
    read, and where another setting would win.
    """
    from jupyter_core.paths import jupyter_config_dir

    homes.WorkspaceDir(settings.default_home(), name)
    path = Path(jupyter_config_dir()) / CONFIG
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else "{}"
        config = json.loads(before)
        section = config.setdefault("JupyterMLRun", {})
        section["workspace"] = name
    except (OSError, ValueError, AttributeError, TypeError) as problem:
        raise BadInput(f"{path} cannot be read: {problem}", hint="correct the file, or move it away") from problem
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, (json.dumps(config, indent=2) + "\n").encode())
    now = settings.load().workspace
    if now != name:
        raise BadInput(
            f"{path} names {name!r}, but another setting wins and names {now!r}",
            hint="look for JUPYTER_MLRUN_WORKSPACE, [tool.jupyter_mlrun] in pyproject.toml, or jupyter_mlrun_config.py",
        )
    return path


def remove(name: str, home: Path | None = None, *, force: bool = False) -> None:
    """Remove a workspace and all that is in it; what cannot be undone needs *force*.

    Raises ``NotFound`` with those there are, ``Conflict`` where runs are active, or where it has runs, data sets,
    models or environments, without *force*.
    """
    place = _place(name, home or settings.default_home())
    rows = listing(place)
    active = [row.run_id for row in rows if not row.over]
    if active:
        raise Conflict(
            f"{len(active)} runs of workspace {name!r} are active", hint=f"jupyter mlrun stop {' '.join(active[:3])}"
        )
    has = [counted(len(rows), "run")] if rows else []
    has += [f"{len(os.listdir(place.path / kind))} {kind}" for kind in _REGISTRIES if (place.path / kind).is_dir()]
    if has and not force:
        raise Conflict(f"workspace {name!r} has {', '.join(has)}", hint="remove them too: --force")
    # out of sight at once: a crash leaves a folder that no listing shows
    aside = place.home / f".removed-{name}-{os.getpid()}"
    os.rename(place.path, aside)
    for folder, _, _ in os.walk(aside):  # trees of data sets are read-only
        os.chmod(folder, stat.S_IRWXU)
    shutil.rmtree(aside)
