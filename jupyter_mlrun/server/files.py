"""Files of a run: listed, downloaded, previewed.  Nothing that a run wrote is ever run by a browser.

Reads the run's files; writes nothing.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, ClassVar, Protocol
from urllib.parse import quote

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError

from jupyter_mlrun.errors import JupyterMLRunError, NotFound
from jupyter_mlrun.server.api_runs import MOST_FILES, MOST_PREVIEW
from jupyter_mlrun.server.base import Handler
from jupyter_mlrun.server.bodies import TooLarge
from jupyter_mlrun.server.opening import list_files, open_file
from jupyter_mlrun.server.snapshots import IMAGES, kind_of
from jupyter_mlrun.store import runs

if TYPE_CHECKING:
    from jupyter_mlrun.server.api import FileList
    from jupyter_mlrun.server.service import Service
    from jupyter_mlrun.store.home import WorkspaceDir

PIECE = 1 << 18
POLICY = "sandbox; default-src 'none'"
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z")


class Source(Protocol):
    """What can be sent: bytes from an offset on."""

    size: int

    def read(self, offset: int, count: int) -> bytes:
        """At most *count* bytes; not from the event loop's thread."""

    def close(self) -> None:
        """Let go of it."""


class OpenFile:
    """A file of a run."""

    def __init__(self, service: Service, place: WorkspaceDir, run_id: str, name: str) -> None:
        self._fd, info = open_file(service.run(place, run_id), name)
        self.size = info.st_size

    def read(self, offset: int, count: int) -> bytes:
        """As ``Source.read``."""
        return os.pread(self._fd, count, offset)

    def close(self) -> None:
        """As ``Source.close``."""
        os.close(self._fd)


class Sender(Handler):
    """Sends bytes in pieces, none of which makes the server wait for a disk or for a slow reader."""

    async def send(self, source: Source, name: str) -> None:
        """Answer with *source*, or with the part of it that is asked for."""
        preview = self.query("preview") not in (None, "", "0")
        self._say_what(name, preview=preview)
        start, end = self._span(source.size)
        if preview and end - start > MOST_PREVIEW:
            raise TooLarge(f"this is more than {MOST_PREVIEW:,} bytes", hint="download it, or ask for a range of it")
        self.set_header("Content-Length", str(end - start))
        if self.request.method == "HEAD":
            await self.finish(set_content_type=self._headers["Content-Type"])
            return
        await self._pour(source, start, end)

    def _say_what(self, name: str, *, preview: bool) -> None:
        kind = kind_of(name) if preview else "other"
        content = "application/octet-stream"
        if kind == "image":
            content = IMAGES[os.path.splitext(name.lower())[1]]
        elif kind in ("text", "json"):
            content = "text/plain; charset=utf-8"
        base = quote(name.rpartition("/")[2].encode("utf-8", "replace"), safe="")
        shown = "inline" if kind in ("image", "text", "json") else "attachment"
        self.set_header("Content-Type", content)
        self.set_header("Content-Disposition", f"{shown}; filename*=UTF-8''{base}")
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Accept-Ranges", "bytes")

    def _span(self, size: int) -> tuple[int, int]:
        """Which bytes are asked for; sets the status."""
        asked = self.request.headers.get("Range")
        match = _RANGE.match(asked) if asked else None
        if match is None or match[0] == "bytes=-":
            return 0, size  # several ranges, other units: the whole is a right answer
        if not match[1]:
            start, end = max(0, size - int(match[2])), size
        else:
            start, end = int(match[1]), min(size, int(match[2]) + 1) if match[2] else size
        if start >= end:
            self.set_header("Content-Range", f"bytes */{size}")
            raise HTTPError(416, "the file has no such part")
        self.set_status(206)
        self.set_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        return start, end

    async def _pour(self, source: Source, start: int, end: int) -> None:
        content = self._headers["Content-Type"]
        try:
            while start < end:
                data = await self.work(source.read, start, min(PIECE, end - start))
                if not data:
                    break  # the file became shorter
                start += len(data)
                self.write(data)
                await self.flush()
        except StreamClosedError:
            return  # the reader has had enough
        except (JupyterMLRunError, OSError):
            if not self._headers_written:
                raise
        if start < end:
            # a shorter answer must not look like a whole one
            self.detach().close()
            return
        await self.finish(set_content_type=content)


class FilesHandler(Handler):
    """``api/runs/RUN/files``."""

    async def get(self, run_id: str) -> None:
        place = self.workspace()
        self.answer(await self.work(_files, self.service, place, run_id))


def _files(service: Service, place: WorkspaceDir, run_id: str) -> FileList:
    run = service.run(place, run_id)
    found, total = list_files(run, MOST_FILES)
    snapshot = runs.read_spec(run).snapshot
    return {"files": found, "total": total, "snapshot": None if snapshot is None else str(snapshot["id"])}


class FileHandler(Sender):
    """``api/runs/RUN/file``."""

    ACTIONS: ClassVar[dict[str, str]] = {"GET": "read", "HEAD": "read"}

    async def get(self, run_id: str) -> None:
        name = self.need("path")
        if not name:
            raise NotFound("path= names no file")
        source = await self.work(OpenFile, self.service, self.workspace(), run_id, name)
        try:
            await self.send(source, name)
        finally:
            source.close()

    async def head(self, run_id: str) -> None:
        await self.get(run_id)
