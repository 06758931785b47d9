"""A real Jupyter server with the extension, in a thread of the test's process, and a client that knows its token."""

from __future__ import annotations

import asyncio
import http.client
import json
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import websocket
from jupyter_server.serverapp import ServerApp

from jupyter_mlrun.server.base import KEY
from jupyter_mlrun.server.service import Service
from jupyter_mlrun.store.home import WorkspaceDir
from tests.patient import be_patient
from tests.support import PATIENCE, free_port

TOKEN = "a-token-of-this-test"


class App(ServerApp):
    """Runs in a thread, where signals cannot be handled."""

    def init_signal(self) -> None:
        """Nothing."""


class Answer:
    """What a server said."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """One server.  *options*: of ``ServerApp``, beside those that every test has."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder, self.options = folder, options
        self.ready, self.loop = threading.Event(), asyncio.new_event_loop()
        self.problem: BaseException | None = None
        self.sockets: list[websocket.WebSocket] = []
        self.thread = threading.Thread(target=self._serve, name="test server")

    def start(self) -> Server:
        self.thread.start()
        assert self.ready.wait(PATIENCE)
        if self.problem is not None:
            raise self.problem
        return self

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.folder.mkdir(exist_ok=True)
            more = {
                "ip": "127.0.0.1", "port": free_port(), "port_retries": 0, "root_dir": str(self.folder),
                "jpserver_extensions": {"jupyter_mlrun": True}, "open_browser": False,
                "allow_root": True, "log_level": "WARN",
                **self.options,
            }  # fmt: skip
            self.app = App(**more)
            self.app.identity_provider_class  # noqa: B018 -- made before its token is set
            self.app.config.IdentityProvider.token = TOKEN
            self.app.initialize(argv=[], find_extensions=False)
            self.app.start_app()
            self.loop.run_until_complete(self.app._post_start())  # type: ignore[no-untyped-call]
            self.loop.call_soon(self.ready.set)
            self.loop.run_forever()
            self.loop.run_until_complete(self.app._cleanup())
        except BaseException as problem:  # told to whoever waits for it
            self.problem = problem
            self.ready.set()
        finally:
            self.loop.close()

    def stop(self) -> None:
        for socket in self.sockets:
            socket.shutdown()
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(PATIENCE)
        assert not self.thread.is_alive()

    @property
    def service(self) -> Service:
        found: Service = self.app.web_app.settings[KEY]
        return found

    @property
    def base(self) -> str:
        return f"{self.app.base_url}jupyter-mlrun/"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.app.port}"

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = TOKEN,
        headers: dict[str, str] | None = None,
        timeout: float = PATIENCE,
    ) -> Answer:
        """One request; *path* is below our prefix unless it begins with a slash."""
        more = dict(headers or {})
        if token is not None:
            more["Authorization"] = f"token {token}"
        data = None if body is None else body if isinstance(body, (bytes, str)) else json.dumps(body)
        connection = http.client.HTTPConnection("127.0.0.1", self.app.port, timeout=timeout)
        try:
            connection.request(method, path if path.startswith("/") else self.base + path, data, more)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path: str, **more: Any) -> Answer:
        return self.ask("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self.ask("POST", path, body, **more)

    def live(self, *, token: str | None = TOKEN, path: str = "api/live", **more: Any) -> Live:
        header = [] if token is None else [f"Authorization: token {token}"]
        socket = websocket.create_connection(
            f"ws://{self.host}{self.base}{path}", header=header, timeout=PATIENCE, **more
        )
        self.sockets.append(socket)
        return Live(socket)


class Live:
    """A page's end of the live channel."""

    def __init__(self, socket: websocket.WebSocket) -> None:
        self.socket = socket

    def say(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def hear(self) -> tuple[dict[str, Any], bytes]:
        """The next message of what is followed, and its numbers; pings come whenever they are due."""
        return self.find(lambda one: one["type"] != "ping")

    def next(self) -> tuple[dict[str, Any], bytes]:
        """The next message, whatever it is; a ping is answered."""
        kind, data = self.socket.recv_data()
        assert kind == websocket.ABNF.OPCODE_BINARY, (kind, data)
        (length,) = struct.unpack("<I", data[:4])
        assert (4 + length) % 8 == 0, "numbers begin where they can be used"
        header = json.loads(data[4 : 4 + length])
        if header["type"] == "ping":
            self.say(do="pong", sub=0)
        return header, data[4 + length :]

    def find(self, test: Callable[[dict[str, Any]], Any]) -> tuple[dict[str, Any], bytes]:
        """The first message that passes, and its numbers; those before it are passed over."""
        while True:
            header, numbers = self.next()
            if test(header):
                return header, numbers

    def until(self, test: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """The first message that passes, without its numbers."""
        return self.find(test)[0]

    def follow(self, run_id: str, sub: int = 1) -> None:
        """Open a run and say hello."""
        self.say(do="open", sub=sub, what="run", run=run_id)
        self.hello(sub)

    def hello(self, sub: int = 1, **more: Any) -> None:
        message = {"type": "hello", "view": f"v{sub}", "have": None, "buckets": 200, **more}
        self.say(do="say", sub=sub, message=message)

    def closed(self) -> int:
        """The code with which the server closed it; 0 where it cut the line."""
        while True:
            try:
                kind, data = self.socket.recv_data()
            except (ConnectionError, websocket.WebSocketConnectionClosedException):
                return 0
            if kind == websocket.ABNF.OPCODE_CLOSE:
                return int(struct.unpack(">H", data[:2])[0])

    def close(self) -> None:
        self.socket.close(timeout=1)


@pytest.fixture
def place(home: Path) -> WorkspaceDir:
    return WorkspaceDir(home, "default").make()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers, and stops them when the test is over."""
    started: list[Server] = []
    patch = pytest.MonkeyPatch()  # the test's own may be undone in its midst
    be_patient(patch.setattr)

    def start(**options: Any) -> Server:
        server = Server(tmp_path / f"root{len(started)}", **options)
        started.append(server)
        return server.start()

    try:
        yield start
        for server in started:
            server.stop()
    finally:
        patch.undo()


@pytest.fixture
def server(place: WorkspaceDir, serve: Callable[..., Server]) -> Server:
    return serve()
