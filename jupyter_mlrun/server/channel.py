"""The live channel: one WebSocket per page, with as many subscriptions as the page needs.

Reads what the page says; writes what changed, each subscription at the speed at which the page takes it.
"""

from __future__ import annotations

import json
import struct
import time
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

from jupyter_core.utils import ensure_async
from jupyter_server.base.websocket import WebSocketMixin
from tornado.ioloop import IOLoop, PeriodicCallback
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from jupyter_mlrun.errors import BadInput, JupyterMLRunError
from jupyter_mlrun.server import api, commands
from jupyter_mlrun.server.api_runs import MOST_HEARD, PING_SECONDS
from jupyter_mlrun.server.base import Guard, places, problem_of
from jupyter_mlrun.server.bodies import fits, parse
from jupyter_mlrun.server.subs import ListSub, MachineSub, RunSub, Sub, ping

if TYPE_CHECKING:
    from jupyter_mlrun.server.subs import Message

MOST_PAGES = 256
MOST_SUBS = 200  # of a page
MOST_ASKED = 64  # questions of a page that are not answered yet
A_SECOND, AT_ONCE = 100.0, 400.0  # messages that a page may say
POLICY, GONE = 1008, 1001
HANG_SECONDS = 2.0
MOST_UNANSWERED = 4  # pings; a machine that was asleep has sent few, however long it slept
_HEAD = struct.Struct("<I")
_ASKS = {"range", "lines", "search", "count", "image"}
_SHAPES: dict[str, Any] = {"runs": api.OpenRuns, "run": api.OpenRun, "machine": api.OpenMachine}


class LiveHandler(WebSocketMixin, WebSocketHandler, Guard):
    """``api/live``."""

    ACTIONS: ClassVar[dict[str, str]] = {"GET": "read"}

    async def prepare(self, **_: Any) -> None:
        """Refuse who may not, before anything is upgraded."""
        await super().prepare()
        await self.admit()
        if len(self.service.pages) >= MOST_PAGES:
            raise HTTPError(503, "too many pages are open")

    @property
    def max_message_size(self) -> int:
        """A longer message closes the channel."""
        return MOST_HEARD

    @property
    def ping_interval(self) -> int:
        """None: the channel has its own pings, which the page sees."""
        return 0

    def get_compression_options(self) -> None:
        """None: what is sent is numbers, and the other end is near."""

    # ---- its life ------------------------------------------------------------------------------------------

    def open(self, *args: str, **kwargs: str) -> None:
        """A page is there."""
        super().open(*args, **kwargs)
        # who asks for the user again must not try to set a cookie: the answer's head was sent long ago
        self.set_cookie = lambda *_, **__: None  # type: ignore[method-assign]
        self.set_nodelay(True)
        self.service.pages.add(self)
        self._loop = IOLoop.current()
        self._subs: dict[int, Sub] = {}
        self._waiting: deque[tuple[Sub | None, bytes, bool]] = deque()
        self._writing = self._told_hang = False
        self._asked = 0
        self._allowed, self._heard_at = AT_ONCE, time.monotonic()
        self._unanswered = 0  # pings since the page last said pong
        self._callbacks = [
            PeriodicCallback(self._send_ping, PING_SECONDS * 1000),
            PeriodicCallback(self._look_for_hang, HANG_SECONDS * 500),
        ]
        for callback in self._callbacks:
            callback.start()

    def on_close(self) -> None:
        """The page is gone."""
        self.service.pages.discard(self)
        for callback in self._callbacks:
            callback.stop()
        for sub in self._subs.values():
            self.service.hub.remove(sub)
        self._subs.clear()
        self._waiting.clear()
        super().on_close()

    async def _send_ping(self) -> None:
        if not await self._is_known():
            self.close(POLICY, "log in again")
            return
        if self._unanswered >= MOST_UNANSWERED:
            self.close(GONE, "nothing was heard")
            return
        self._unanswered += 1
        self._queue(None, ping(), waits=False)

    async def _is_known(self) -> bool:
        """Whether who opened the channel would still be let in."""
        self._jupyter_current_user = None
        user = await ensure_async(self.identity_provider.get_user(self))
        self.current_user = self._jupyter_current_user = user
        return user is not None and await self.may("read")

    def _look_for_hang(self) -> None:
        """Tell the page that the disk does not answer, once each time."""
        hangs = self.service.hub.hangs_for(time.monotonic()) > HANG_SECONDS
        if hangs and not self._told_hang:
            problem: Any = {
                "kind": "Busy", "message": "the disk that the runs are on does not answer",
                "hint": "what is shown may be old; it goes on by itself",
            }  # fmt: skip
            for sub in self._subs.values():
                sub.say_problem(problem, final=False)
        self._told_hang = hangs

    # ---- what the page says --------------------------------------------------------------------------------

    async def on_message(self, message: str | bytes) -> None:
        """One message of the page; a page that says nonsense learns so, one that says too much is left."""
        now = time.monotonic()
        self._allowed = min(AT_ONCE, self._allowed + (now - self._heard_at) * A_SECOND) - 1
        self._heard_at = now
        if self._allowed < 0:
            self.close(POLICY, "too many messages")
            return
        number = 0
        try:
            said = parse(message, MOST_HEARD)
            number = _number(said)
            await self._do(said, number)
        except Exception as error:  # whatever came, the page must learn of it, and the others go on
            if not isinstance(error, JupyterMLRunError):
                self.log.error("the live channel met an error\n%s", places(error))  # noqa: TRY400 -- not what it says
            self._queue(None, _problem(number, error), waits=False)

    async def _do(self, said: dict[str, Any], number: int) -> None:
        do = said.get("do")
        if do == "pong":
            self._unanswered = 0
        elif do == "open":
            await self._follow(said, number)
        elif do == "close":
            self._leave(number)
        elif do == "say":
            await self._told(number, said.get("message"))
        else:
            raise BadInput("a message has do: open, close, say or pong")

    async def _follow(self, said: dict[str, Any], number: int) -> None:
        shape = _SHAPES.get(str(said.get("what")))
        known = set(said) - {"have"}  # what a page had before does not count: it gets all anew
        if shape is None or not fits({name: said[name] for name in known}, shape):
            raise BadInput("this cannot be followed", hint="runs with a query, run with an id, or machine")
        self._leave(number)
        if len(self._subs) >= MOST_SUBS:
            raise BadInput(f"a page follows at most {MOST_SUBS} things", hint="close some")
        place = self.service.workspace(said.get("workspace"))
        sub: Sub
        if said["what"] == "runs":
            sub = ListSub(number, self._post, self.service, place, said["query"])
        elif said["what"] == "machine":
            sub = MachineSub(number, self._post, self.service, place)
        else:
            run = await self.service.pool.run(self.service.run, place, said["run"])
            run_id, shelf = said["run"], await self.service.pool.run(self.service.shelf, place)
            lock = self.service.hub.lock_of(run)
            sub = RunSub(number, self._post, run, lock, lambda: shelf.why(run_id), lambda: shelf.place_of(run_id))
        if self.ws_connection is None:  # the page left meanwhile
            return
        self._subs[number] = sub
        self.service.hub.add(sub)

    def _leave(self, number: int) -> None:
        sub = self._subs.pop(number, None)
        if sub is not None:
            self.service.hub.remove(sub)

    async def _told(self, number: int, message: Any) -> None:
        sub = self._subs.get(number)
        if not isinstance(sub, RunSub) or not isinstance(message, dict):
            raise BadInput("nothing follows a run under this number", hint="open it first")
        kind = message.get("type")
        if kind in ("hello", "hide"):
            sub.inbox.put(message)
            self.service.hub.wake()
        elif kind in _ASKS:
            self._asked_of(sub, message)
        elif kind == "command":
            await self._command(sub, message)

    def _asked_of(self, sub: RunSub, message: dict[str, Any]) -> None:
        if self._asked >= MOST_ASKED:
            sub.say(({"type": "refused", "ask": message.get("ask"), "error": "too much is asked at once"}, b""))
            return
        self._asked += 1
        try:
            future = self.service.pool.submit(sub.ask, message)
        except JupyterMLRunError as error:
            self._asked -= 1
            sub.say(({"type": "refused", "ask": message.get("ask"), "error": error.message}, b""))
            return
        future.add_done_callback(lambda _: self._loop.add_callback(self._answered))

    def _answered(self) -> None:
        self._asked -= 1

    async def _command(self, sub: RunSub, message: dict[str, Any]) -> None:
        error: str | None = None
        if message.get("name") != "stop":
            error = "this view cannot do that"
        elif not await self.may("execute"):
            error = "you may not stop runs here"
        else:
            try:
                await self.service.commands.run(commands.stop, self.service, sub.run)
            except JupyterMLRunError as problem:
                error = str(problem)
        sub.say(({"type": "done", "ask": message.get("ask"), "error": error}, b""))
        self.service.hub.nudge(sub.run)

    # ---- what is said to the page --------------------------------------------------------------------------

    def _post(self, sub: Sub, made: Message, waits: bool) -> None:
        """From any thread: send a message of *sub*."""
        self._loop.add_callback(self._queue, sub, made, waits=waits)

    def _queue(self, sub: Sub | None, made: Message, *, waits: bool) -> None:
        header, buffer = made
        head = json.dumps(header, separators=(",", ":")).encode()
        head += b" " * (-(len(head) + _HEAD.size) % 8)  # so that the numbers behind it can be used where they are
        self._waiting.append((sub, _HEAD.pack(len(head)) + head + buffer, waits))
        if not self._writing:
            self._writing = True
            self._loop.add_callback(self._pour)

    async def _pour(self) -> None:
        try:
            while self._waiting:
                sub, data, waits = self._waiting.popleft()
                if sub is None or not sub.closed:
                    await self.write_message(data, binary=True)
                if sub is not None and waits:
                    sub.busy = False
                    self.service.hub.wake()
        except (WebSocketClosedError, StreamClosedError):
            self._waiting.clear()
        finally:
            self._writing = False


def _number(said: Any) -> int:
    number = said.get("sub", 0) if isinstance(said, dict) else None
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 1 << 31:
        raise BadInput('a message is an object with a number "sub"')
    return number


def _problem(number: int, error: BaseException) -> Message:
    return {"type": "problem", "sub": number, "error": problem_of(error)[1], "final": True}, b""
