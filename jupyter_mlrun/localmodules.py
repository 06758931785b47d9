"""Says which imported modules are files of the user that a run would lack.

Looks for modules as Python does, without importing any.  Reads the import path, writes nothing.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

OURS = {"jupyter_mlrun", "azureml", "__main__"}  # every run has them


def outside_snapshot(module: str, *, present: Collection[str], cwd: Path | None) -> str | None:
    """Where the module is, if it is neither installed nor in the snapshot; else None.

    A module that is found nowhere is not judged here: the run's environment may have it.
    """
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top in sys.builtin_module_names or top in OURS:
        return None
    if any(path == f"{top}.py" or path.startswith(f"{top}/") for path in present):
        return None
    folder = os.path.realpath(cwd) if cwd is not None else None
    path = [folder, *sys.path] if folder is not None else sys.path
    try:
        spec = PathFinder.find_spec(top, [entry or folder or os.getcwd() for entry in path])
    except (ImportError, OSError, ValueError, UnicodeError):
        return None
    place = _place(spec)
    return None if place is None or _is_installed(place) else place


def _place(spec: ModuleSpec | None) -> str | None:
    """The file or folder of a module; built-in and zipped ones have none that matters."""
    if spec is None:
        return None
    if spec.has_location and spec.origin is not None:
        return os.path.realpath(spec.origin)
    folders = list(spec.submodule_search_locations or ())
    return os.path.realpath(folders[0]) if folders else None


def _is_installed(place: str) -> bool:
    """Whether a fresh interpreter with the same environment finds the module too."""
    parts = place.split(os.sep)
    if "site-packages" in parts or "dist-packages" in parts:
        return True
    return any(place.startswith(root.rstrip(os.sep) + os.sep) for root in _lasting_roots())


def _lasting_roots() -> list[str]:
    """Folders that stay on the path: the library's, those of editable installs, those of PYTHONPATH."""
    roots = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    roots.update(os.environ.get("PYTHONPATH", "").split(os.pathsep))
    for folder in {*roots, site.getusersitepackages(), *site.getsitepackages()}:
        roots.update(_pth_entries(folder))
    return [os.path.realpath(root) for root in roots if root]


def _pth_entries(folder: str) -> list[str]:
    """Folders that the .pth files of a site folder put on the path."""
    found: list[str] = []
    for file in sorted(Path(folder).glob("*.pth")) if folder else []:
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue  # Python skips unreadable .pth files too
        found += [os.path.join(folder, line) for line in lines if line.strip() and not line.startswith(("import", "#"))]
    return found
