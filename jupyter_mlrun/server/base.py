"""What every handler is: authenticated, authorised, safe from other sites, and wrong in one shape.

Reads and writes nothing by itself.
"""

from __future__ import annotations

import json
import secrets
import traceback
from http.client import responses
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from jupyter_core.utils import ensure_async
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from tornado.web import HTTPError, MissingArgumentError

from jupyter_mlrun.errors import AgentError, BadInput, Conflict, JupyterMLRunError, NotFound, StoreError
from jupyter_mlrun.server.bodies import TooLarge, parse, shaped
from jupyter_mlrun.server.pool import Busy

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_mlrun.server import api_runs
    from jupyter_mlrun.server.service import Service
    from jupyter_mlrun.store.home import WorkspaceDir

RESOURCE = "jupyter_mlrun"
KEY = "jupyter_mlrun"  # of the service, in the settings of the web application
MOST_BODY = 65_536
CACHE = "no-store"
Result = TypeVar("Result")
_KINDS: tuple[tuple[type[JupyterMLRunError], api_runs.Answer], ...] = (
    (Busy, "Busy"), (TooLarge, "TooLarge"), (BadInput, "BadInput"), (NotFound, "NotFound"), (Conflict, "Conflict"),
    (AgentError, "Agent"), (StoreError, "Store"),
)  # fmt: skip
_STATUSES: dict[int, api_runs.Answer] = {
    400: "BadInput", 403: "Forbidden", 404: "NotFound", 405: "NotAllowed", 413: "TooLarge", 416: "Range", 503: "Busy",
}  # fmt: skip


def problem_of(error: BaseException) -> tuple[int, api_runs.Problem]:
    """The HTTP status of an error, and what is said of it."""
    if isinstance(error, JupyterMLRunError):
        kind: api_runs.Answer = next((word for known, word in _KINDS if isinstance(error, known)), "Internal")
        return error.status, {"kind": kind, "message": _text(error.message), "hint": error.hint and _text(error.hint)}
    if isinstance(error, MissingArgumentError):
        return 400, {"kind": "BadInput", "message": f"{error.arg_name}= is missing", "hint": None}
    if isinstance(error, HTTPError):
        words = responses.get(error.status_code, "failed")
        said = error.log_message if error.log_message and not error.args and error.status_code < 500 else words
        kind = _STATUSES.get(error.status_code, "Internal" if error.status_code >= 500 else "BadInput")
        return error.status_code, {"kind": kind, "message": _text(said), "hint": None}
    if isinstance(error, OSError):
        return 503, {"kind": "Store", "message": f"a file cannot be read: {error.strerror or error}", "hint": None}
    name = secrets.token_hex(4)
    message = f"this should not happen (error {name})"
    return 500, {"kind": "Internal", "message": message, "hint": f"the server's log says more: look for {name}"}


def _text(words: str) -> str:
    return words.encode("utf-8", "replace").decode()[:2000]


class Guard(JupyterHandler):
    """Who may ask what.  ``ACTIONS`` says which methods there are, and what each needs to be allowed."""

    auth_resource = RESOURCE
    ACTIONS: ClassVar[dict[str, str]] = {"GET": "read"}

    @property
    def service(self) -> Service:
        """What all handlers of this server share."""
        found: Service = self.settings[KEY]
        return found

    async def admit(self) -> None:
        """Raise unless this request may have its answer."""
        if not self.current_user:
            raise HTTPError(403)
        action = self.ACTIONS.get(self.request.method or "")
        if action is None:
            raise HTTPError(405)
        if self._comes_from_elsewhere():
            raise HTTPError(403, "this is not for other sites")
        if not await self.may(action):
            raise HTTPError(403, f"you may not {action} here")

    async def may(self, action: str) -> bool:
        """Whether the visitor may *action*: read, write or execute."""
        return bool(
            await ensure_async(self.authorizer.is_authorized(self, self.current_user, action, self.auth_resource))
        )

    def _comes_from_elsewhere(self) -> bool:
        """Whether another site makes the browser ask: an image or a script there has no origin, but says this."""
        if self.allow_origin or self.allow_origin_pat or self.skip_check_origin():
            return False
        return self.request.headers.get("Sec-Fetch-Site") == "cross-site"

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Cache-Control", CACHE)
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.set_header("Referrer-Policy", "same-origin")

    # ---- what is asked -------------------------------------------------------------------------------------

    def query(self, name: str, default: str | None = None) -> str | None:
        """An argument of the address."""
        found: str | None = self.get_query_argument(name, default, strip=False)
        return found

    def need(self, name: str) -> str:
        """An argument of the address that must be there."""
        found: str = self.get_query_argument(name, strip=False)
        return found

    def body(self, shape: Any) -> dict[str, Any]:
        """The JSON that was sent, as the TypedDict *shape* says; an empty body is an empty object."""
        return shaped(parse(self.request.body, MOST_BODY) if self.request.body else {}, shape)

    def workspace(self) -> WorkspaceDir:
        """The workspace that is meant.  Raises ``BadInput`` for what is no name of one."""
        return self.service.workspace(self.query("workspace"))

    async def work(self, do: Callable[..., Result], *given: Any, limit: float | None = None) -> Result:
        """Have work done that reads files."""
        return await self.service.pool.run(do, *given, limit=limit)

    # ---- what is answered ----------------------------------------------------------------------------------

    def answer(self, data: Any, status: int = 200) -> None:
        """Answer with JSON."""
        self.set_status(status)
        self.finish(dumps(data))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """One shape for all that goes wrong."""
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        status, problem = problem_of(error if error is not None else HTTPError(status_code))
        if status == 500:
            self.log.error("%s\n%s", problem["hint"], places(error))
        self.set_status(status)
        if status == 503:
            self.set_header("Retry-After", "2")
        self.finish(dumps({"error": problem}))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Nothing that was sent is written to a log; ``write_error`` says where it went wrong."""


class Handler(Guard, APIHandler):
    """The base of all handlers but the live channel."""

    async def prepare(self, **_: Any) -> None:
        """Refuse who may not; what is left to a method is its work."""
        await super().prepare()
        if self._finished or self.request.method == "OPTIONS":  # a preflight tells nothing, and does nothing
            return
        await self.admit()


def dumps(data: Any) -> str:
    """JSON as every reader takes it."""
    return json.dumps(data, allow_nan=False, separators=(",", ":"))


def places(error: BaseException | None) -> str:
    """Where an error came from, without what it says: that may be a secret of the request."""
    if error is None:
        return ""
    lines = traceback.format_tb(error.__traceback__)
    return f"{''.join(lines)}{type(error).__name__}"
