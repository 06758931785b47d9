"""Copies many files of a run out of it.

Reads the run's files; writes where it is told to.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from jupyter_mlrun.errors import BadInput
from jupyter_mlrun.worker import runfiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_mlrun.rundir import RunDir


def download(
    run: RunDir, prefix: str | None, folder: str | None, paths: Sequence[str] | None, *, append_prefix: bool
) -> list[str]:
    """See ``Run.download_files``; every path is known before the first file is written."""
    chosen = runfiles.choose(run, prefix)
    if paths is None:
        lead = os.path.normpath(prefix) if prefix and not append_prefix else ""
        inner = [os.path.relpath(name, lead) if _lies_below(name, lead) else name for name, _ in chosen]
        targets = [os.path.join(folder or ".", name) for name in inner]
    elif folder is not None:
        raise BadInput("download_files takes output_directory or output_paths", hint="give one of the two")
    elif isinstance(paths, str) or len(paths) != len(chosen):
        names = ", ".join(name for name, _ in chosen[:10])
        raise BadInput(f"{len(chosen)} files need as many output_paths", hint=f"they are: {names}")
    else:
        targets = [os.fspath(path) for path in paths]
    for (_, source), target in zip(chosen, targets, strict=True):
        runfiles.copy_out(source, target)
    return targets


def _lies_below(name: str, folder: str) -> bool:
    return bool(folder) and name.startswith(folder + "/")
