"""``jupyter mlrun ui`` as people start and end it: a process of its own, its address, its token, its signals."""

from __future__ import annotations

import http.client
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
import websocket

from jupyter_mlrun import portal
from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.worker.segment import MetricWriter
from tests.conftest import need
from tests.runs import ended_run
from tests.server.conftest import Live
from tests.support import PATIENCE, ended, until

ROOT = Path(__file__).parent.parent
PATIENT = f"""
import sys
sys.path.append({str(ROOT)!r})
from tests.patient import be_patient
be_patient()
from jupyter_mlrun.cli import main
main()
"""
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)(/\S*)\?token=(\w+)")


class Address(NamedTuple):
    port: int
    path: str
    token: str


class Pages:
    """One ``jupyter mlrun ui``, in a session of its own."""

    def __init__(self, program: list[str], log: Path, *more: str, stdin: int = subprocess.DEVNULL) -> None:
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [*program, "ui", "--no-browser", "--allow-root", *more],
                stdin=stdin,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def address(self) -> Address:
        """What it prints, once it serves."""

        def found() -> re.Match[str] | None:
            assert self.process.poll() is None, self.said()
            return ADDRESS.search(self.said())

        printed = until(found, "an address")
        until(lambda: marks() or self.process.poll() is not None, "it can be found")
        return Address(int(printed[1]), printed[2], printed[3])

    def ended(self, number: int) -> int:
        """Send it a signal, wait for its end, and return its exit code; nothing of it may be left."""
        port = self.address().port
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        assert of_session(self.process.pid) == []
        with socket.socket() as probe:
            refused = probe.connect_ex(("127.0.0.1", port)) != 0
            # a socket that was given this very port as its own is connected with itself
            assert refused or probe.getsockname() == probe.getpeername(), "nobody listens"
        assert [name for name in os.listdir(os.environ["JUPYTER_RUNTIME_DIR"]) if "cookie" not in name] == []
        assert "Traceback" not in self.said()
        return code

    def kill(self) -> None:
        """Whatever is left of it."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def of_session(pid: int) -> list[str]:
    """What runs in the session that *pid* began."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if os.getsid(process.pid) == pid and not ended(process.pid):
                found.append(" ".join(process.cmdline()))
    return found


def marks() -> list[str]:
    """The addresses by which runs find their pages."""
    return list(portal.servers(Path(os.environ["JUPYTER_MLRUN_HOME"])))


@pytest.fixture
def jupyter() -> list[str]:
    """As a person types it."""
    program = shutil.which("jupyter", path=str(Path(sys.executable).parent))
    return [need(program, "no program 'jupyter' beside this Python"), "mlrun"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Pages]]:
    started: list[Pages] = []

    def make(program: list[str], *more: str, **options: Any) -> Pages:
        started.append(Pages(program, tmp_path / f"ui{len(started)}.log", *more, **options))
        return started[-1]

    yield make
    for one in started:
        one.kill()


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.fixture
def run(home: Path) -> RunDir:
    made = ended_run(WorkspaceDir(home, "default").make(), display_name="shown alone")
    writer = MetricWriter(str(made.metrics))
    for step in range(30):
        writer.log("loss", 1 / (step + 1), step=step)
    writer.close()
    return made


def get(at: Address, path: str, token: str | None) -> tuple[int, str, bytes]:
    """Status, where it sends the visitor, and the body."""
    connection = http.client.HTTPConnection("127.0.0.1", at.port, timeout=PATIENCE)
    try:
        connection.request("GET", at.path + path, headers={} if token is None else {"Authorization": f"token {token}"})
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Location", ""), answer.read()
    finally:
        connection.close()


def live(at: Address, token: str | None) -> Live:
    header = [] if token is None else [f"Authorization: token {token}"]
    address = f"ws://127.0.0.1:{at.port}{at.path}api/live"
    return Live(websocket.create_connection(address, header=header, timeout=PATIENCE))


def test_it_shows_runs_to_who_has_the_token_until_it_is_ended(
    start: Callable[..., Pages], run: RunDir, taken: int
) -> None:
    pages = start([sys.executable, "-c", PATIENT], "--port", str(taken), "--ServerApp.base_url=/me/")
    at = pages.address()
    assert at.port != taken
    assert f"The port {taken} is already in use, trying another" in pages.said()
    assert marks() == [f"http://localhost:{at.port}/me/jupyter-mlrun"]
    assert at.token not in "".join(marks())

    status, _, body = get(at, "", at.token)
    assert (status, b'"what": "runs"' in body, b"page.js" in body) == (200, True, True), body
    status, _, body = get(at, f"runs/{run.path.name}", at.token)
    assert status == 200
    assert b"shown alone" in body
    assert run.path.name.encode() in body
    status, _, body = get(at, "api/runs", at.token)
    assert status == 200
    assert [one["id"] for one in json.loads(body)["runs"]] == [run.path.name]
    channel = live(at, at.token)
    channel.follow(run.path.name)
    told = channel.until(lambda said: any(one["name"] == "loss" for one in said.get("series", ())))
    assert [one["count"] for one in told["series"] if one["name"] == "loss"] == [30]

    for token in (None, "wrong" + at.token):
        for path in ("", f"runs/{run.path.name}"):
            status, where, body = get(at, path, token)
            assert (status, "/login?" in where) == (302, True)
            assert b"shown alone" not in body
        status, _, body = get(at, "api/runs", token)
        assert (status, json.loads(body)["error"]["kind"]) == (403, "Forbidden"), body
        with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
            live(at, token)

    # the channel is open, and something is followed
    assert pages.process.poll() is None
    assert pages.ended(signal.SIGTERM) == 0
    assert channel.closed() in {0, 1000, 1001, 1012}
    assert marks() == []


def test_an_interrupt_ends_it_where_no_terminal_can_ask(start: Callable[..., Pages], jupyter: list[str]) -> None:
    assert start(jupyter, "--port", "0").ended(signal.SIGINT) == 0


def test_at_a_terminal_an_interrupt_asks_first(start: Callable[..., Pages], jupyter: list[str]) -> None:
    ours, its = pty.openpty()
    try:
        pages = start(jupyter, "--port", "0", stdin=its)
        pages.address()
        os.write(ours, b"n\n")
        pages.process.send_signal(signal.SIGINT)
        until(lambda: "resuming operation" in pages.said(), "it goes on")
        os.write(ours, b"y\n")
        assert pages.ended(signal.SIGINT) == 0
    finally:
        os.close(ours)
        os.close(its)


def test_without_another_port_it_says_so_and_ends(start: Callable[..., Pages], jupyter: list[str], taken: int) -> None:
    pages = start(jupyter, "--port", str(taken), "--ServerApp.port_retries=0")
    assert pages.process.wait(PATIENCE) == 1
    assert f"port {taken} is not available" in pages.said()
    assert "Traceback" not in pages.said()
    assert marks() == []
    assert of_session(pages.process.pid) == []


def test_its_help_starts_nothing(start: Callable[..., Pages], jupyter: list[str]) -> None:
    pages = start(jupyter, "--help")
    assert pages.process.wait(PATIENCE) == 0
    said = pages.said()
    for word in ("--port", "--ip", "--no-browser", "8888", "--ServerApp.base_url"):
        assert word in said
    assert "token" not in said
    assert not os.path.exists(os.environ["JUPYTER_RUNTIME_DIR"])
    wrong = start(jupyter, "--port", "65536")
    assert wrong.process.wait(PATIENCE) == 2
    assert "65536" in wrong.said()
    assert not os.path.exists(os.environ["JUPYTER_RUNTIME_DIR"])


class ByFile(http.client.HTTPConnection):
    """To a server on a Unix socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self.host)

    def ask(self, token: str) -> tuple[int, dict[str, Any]]:
        self.request("GET", "/jupyter-mlrun/api/runs", headers={"Authorization": f"token {token}", "Host": "localhost"})
        answer = self.getresponse()
        return answer.status, json.loads(answer.read())


def listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def test_it_serves_on_a_unix_socket(
    start: Callable[..., Pages], jupyter: list[str], run: RunDir, socket_folder: Path
) -> None:
    path = socket_folder / "ui.sock"
    pages = start(jupyter, f"--ServerApp.sock={path}", "--IdentityProvider.token=abc")
    until(partial(listens, path), "it serves")
    with closing(ByFile(str(path))) as server:
        status, found = server.ask("abc")
        assert (status, [one["id"] for one in found["runs"]]) == (200, [run.path.name])
        status, found = server.ask("abd")
        assert (status, found["error"]["kind"]) == (403, "Forbidden")
    # no browser opens such an address: the run's own file is the place to look at
    assert Run.at(run).get_portal_url() == run.page.as_uri()
    pages.process.send_signal(signal.SIGTERM)
    assert pages.process.wait(PATIENCE) == 0
    assert of_session(pages.process.pid) == []
