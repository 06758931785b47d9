"""Pages without JupyterLab: the list of runs, and one run; and the files that they are made of.

Reads the built front-end in ``jupyter_mlrun/ui/static``; writes nothing.
"""

from __future__ import annotations

import html
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tornado.web import HTTPError, authenticated

from jupyter_mlrun._version import __version__
from jupyter_mlrun.errors import NotFound
from jupyter_mlrun.records import RUN_ID
from jupyter_mlrun.server.api_runs import PREFIX
from jupyter_mlrun.server.base import Guard, Handler, places, problem_of
from jupyter_mlrun.ui import view

if TYPE_CHECKING:
    from jupyter_mlrun.server.service import Service
    from jupyter_mlrun.store.home import WorkspaceDir

STATIC = Path(__file__).parents[1] / "ui" / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
_TYPES = {
    ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
    ".png": "image/png", ".woff2": "font/woff2", ".json": "application/json", ".map": "application/json",
}  # fmt: skip
_NAME = re.compile(r"[\w-][\w.-]{0,120}\Z", re.ASCII)


class PageHandler(Guard):
    """The base of pages: who is not logged in is sent to do so."""

    @property
    def content_security_policy(self) -> str:
        """Nothing of other sites, no script in the page itself."""
        return POLICY

    async def prepare(self, **_: Any) -> None:
        """Refuse who may not."""
        await super().prepare()
        if self._finished:
            return
        if not self.current_user:
            authenticated(lambda _: None)(self)  # goes to the login page
            return
        await self.admit()

    def _comes_from_elsewhere(self) -> bool:
        return False  # a link to a page may stand anywhere

    def page(self, title: str, config: dict[str, Any], body: str, *, name: str = "page") -> None:
        """Answer with a page that the script *name* makes; *body* is there until it does."""
        self.xsrf_token  # noqa: B018 -- sets the cookie that the page's commands need
        base = f"{self.base_url}{PREFIX}/"
        known = json.dumps({"baseUrl": self.base_url, "version": __version__, **config}).replace("<", "\\u003c")
        built = (STATIC / f"{name}.js").is_file()
        script = f'<script type="module" src="{html.escape(base)}static/{name}.js"></script>' if built else ""
        style = f'<link rel="stylesheet" href="{html.escape(base)}static/{name}.css">' if built else ""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width">'
            f"<title>{html.escape(title)}</title>{style}"
            f'<script type="application/json" id="jupyter-mlrun-config">{known}</script></head>'
            f'<body><main id="jupyter-mlrun-page">{body}</main>{script}</body></html>'
        )

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """A page that says what went wrong."""
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        status, problem = problem_of(error if error is not None else HTTPError(status_code))
        if status == 500:
            self.log.error("%s\n%s", problem["hint"], places(error))
        self.set_status(status)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        hint = f"<p>{html.escape(problem['hint'])}</p>" if problem["hint"] else ""
        said = html.escape(problem["message"])
        self.finish(f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{status}</title><p>{said}</p>{hint}')


class RunPageHandler(PageHandler):
    """``runs/RUN``."""

    async def get(self, run_id: str) -> None:
        if not RUN_ID.match(run_id):
            raise NotFound(f"{run_id[:80]!r} is no run")
        place = self.workspace()
        body = await self.work(_static_part, self.service, place, run_id)
        self.page(run_id, {"what": "run", "run": run_id, "workspace": place.name}, body)


def _static_part(service: Service, place: WorkspaceDir, run_id: str) -> str:
    # what is read here is kept: the page will ask for it in a moment
    with service.reading(place, run_id) as reader:
        return view.as_html(reader.run, waiting=service.shelf(place).why(run_id), metrics=reader.metrics)


class ListPageHandler(PageHandler):
    """The first page."""

    async def get(self) -> None:
        place = self.workspace()
        self.page("Runs", {"what": "runs", "workspace": place.name}, "<noscript>This page needs scripts.</noscript>")


class BarePageHandler(PageHandler):
    """The first page, without the slash that its links need."""

    async def get(self) -> None:
        self.redirect(f"{self.base_url}{PREFIX}/")


class StaticHandler(Handler):
    """``static/NAME``: the built front-end."""

    async def get(self, name: str) -> None:
        ending = os.path.splitext(name)[1]
        if not _NAME.match(name) or ending not in _TYPES:
            raise NotFound("there is no such file")
        self.set_header("Cache-Control", "no-cache")  # asked for again, but not sent again: it has an etag
        self.write(await self.work(_read, name))
        self.set_header("X-Content-Type-Options", "nosniff")
        await self.finish(set_content_type=_TYPES[ending])


def _read(name: str) -> bytes:
    try:
        return (STATIC / name).read_bytes()
    except (FileNotFoundError, IsADirectoryError) as problem:
        raise NotFound("there is no such file", hint="the front-end may not be built: make front-end") from problem
