"""Saves the executed notebook: readers find the whole old one or the whole new one, whatever dies meanwhile.

Writes the output notebook.
"""

from __future__ import annotations

import os
import secrets
from typing import Any

import nbformat
from papermill.iorw import LocalHandler, papermill_io

from jupyter_mlrun.errors import StoreError
from jupyter_mlrun.rundir import remove_if_there


def write_whole(path: str, text: str, *, sync: bool = True) -> None:
    """Replace *path*, with the user's own umask; through a symbolic link, what it points to."""
    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    aside = os.path.join(folder, f".{name[:100]}.{os.getpid()}.{secrets.token_hex(4)}.new")
    try:
        with open(aside, "x", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(aside, target)
    except BaseException:
        remove_if_there(aside)
        raise


class _Whole(LocalHandler):  # type: ignore[misc,unused-ignore]
    """papermill's own writes of the output notebook, made whole or not at all."""

    def __init__(self, path: str, absolute: str) -> None:
        super().__init__()
        self._path, self._absolute = path, absolute
        self.sync = True

    def write(self, buf: str, path: str) -> None:
        """Write where the engine writes."""
        write_whole(self._absolute if path == self._path else path, buf, sync=self.sync)


class Saving:
    """Where the executed notebook goes.  ``path`` None saves nothing."""

    def __init__(self, path: str | None) -> None:
        self.path = path
        self._begun = self._told = False
        self._whole: str | None = None
        self._handler: _Whole | None = None
        handler = papermill_io.get_handler(path)
        if isinstance(handler, LocalHandler):
            assert path is not None, "None has another handler"
            # papermill may have changed the folder for the cells: this path is from the one before
            base = handler.cwd(None)
            handler.cwd(base)
            self._whole = os.path.join(base or os.getcwd(), path)
            self._handler = _Whole(path, self._whole)
            papermill_io.register(path, self._handler)

    def save(self, notebook: Any, *, last: bool = False) -> str | None:
        """Save the notebook; what to tell the user, once, where that failed in the middle.

        Raises ``StoreError`` where nothing can be saved from the beginning, or not at the end.
        """
        if self._handler is not None:
            self._handler.sync = last  # in between, a power cut may cost what a crash does not
        try:
            papermill_io.write(nbformat.writes(notebook), self.path)
        except OSError as problem:
            why = f"cannot save the notebook {self._whole or self.path}: {problem.strerror or problem}"
            if last or not self._begun:
                hint = "make its folder writable, or give another output path"
                raise StoreError(why, hint=hint) from problem
            told, self._told = self._told, True
            return None if told else why
        self._begun = True
        return None

    def copy_to(self, folder: os.PathLike[str]) -> None:
        """Put a copy of what was saved into *folder*, of a run; the same file is left alone."""
        if self._whole is None or not self._begun:
            return
        copy = os.path.join(folder, os.path.basename(self._whole))
        if os.path.realpath(copy) != os.path.realpath(self._whole):
            with open(self._whole, encoding="utf-8") as file:
                write_whole(copy, file.read())
