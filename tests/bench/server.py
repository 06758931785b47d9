"""The server: 10,000 runs in a list, a run's page, log() to a message on the live channel: rows for ``make bench``."""

from __future__ import annotations

import http.client
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import websocket

from jupyter_mlrun import portal
from jupyter_mlrun.records import RunState
from jupyter_mlrun.rundir import RunDir, dump_json
from jupyter_mlrun.states import Status
from jupyter_mlrun.store import runs
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.store.index import IndexWriter
from jupyter_mlrun.worker.segment import MetricWriter
from tests.bench.runs import row
from tests.runs import recorded_run

TOKEN = "of-the-benchmark"
REPEATS = 15
MANY = 10_000
LOGGED = 60
PAUSE = 0.113  # between two calls of log(): not a multiple of the server's own rhythm


class Client:
    """Asks one server over one connection."""

    def __init__(self, address: str) -> None:
        self.parts = urlsplit(address)
        self.connection = http.client.HTTPConnection("127.0.0.1", self.parts.port or 80, timeout=60)

    def get(self, path: str) -> Any:
        self.connection.request("GET", f"{self.parts.path}/{path}", headers={"Authorization": f"token {TOKEN}"})
        answer = self.connection.getresponse()
        data = answer.read()
        assert answer.status == 200, data
        return json.loads(data)

    def live(self) -> websocket.WebSocket:
        address = f"ws://127.0.0.1:{self.parts.port}{self.parts.path}/api/live"
        return websocket.create_connection(address, header=[f"Authorization: token {TOKEN}"], timeout=60)


@contextmanager
def server(home: Path) -> Iterator[Client]:
    """``jupyter mlrun ui`` as a process of its own."""
    variables = {
        "JUPYTER_MLRUN_HOME": str(home),
        "JUPYTER_RUNTIME_DIR": str(home.parent / "runtime"),
        "JUPYTER_CONFIG_DIR": str(home.parent / "config"),
    }
    os.environ.update(variables)
    start = "from jupyter_mlrun.cli import main; main()"
    options = ["ui", "--no-browser", "--port", "0", "--allow-root", f"--IdentityProvider.token={TOKEN}"]
    process = subprocess.Popen([sys.executable, "-c", start, *options], stderr=subprocess.DEVNULL, cwd=home.parent)
    try:
        deadline = time.monotonic() + 60
        while not (found := next(portal.servers(home), None)):
            assert process.poll() is None, "the server did not come up"
            assert time.monotonic() < deadline, "the server did not come up in time"
            time.sleep(0.05)
        yield Client(found)
    finally:
        process.terminate()
        process.wait(30)
        for name in variables:
            del os.environ[name]


def median(work: Callable[[], Any]) -> float:
    """Milliseconds."""
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        work()
        times.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(times)


def rows() -> Iterator[dict[str, Any]]:
    """Each figure beside the floor: the least that the same server answers."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        place = WorkspaceDir(home, "default").make()
        _write_many(place)
        with server(home) as client:
            client.get("api/runs?limit=1")
            floor = median(lambda: client.get("api/about"))
            for what, query in (
                ("the newest 100", ""), ("text search", "text=exp+lr"), ("sorted by a metric", "sort=metric:m1"),
                ("filtered by status and tag", "status=over&tag=number=7"),
            ):  # fmt: skip
                took = median(partial(client.get, f"api/runs?{query}"))
                yield row(
                    f"server: list of {MANY:,} runs, {what}, budget 20 ms (floor: api/about)", took, floor, "ms", None
                )
            run_id = client.get("api/runs?limit=1")["runs"][0]["id"]
            took = median(lambda: client.get(f"api/runs/{run_id}"))
            yield row("server: everything of a run (floor: api/about)", took, floor, "ms", None)
    for active in (1, 20, 100):
        yield from _latency(active)


def _write_many(place: WorkspaceDir) -> None:
    writer = IndexWriter(place, lambda _: {f"m{i}": 0.5 * i for i in range(20)})
    experiment = place.runs / "exp"
    entries = []
    for number in range(MANY):
        aside = recorded_run(place, number=number)
        spec = runs.read_spec(aside)
        entries.append((aside, spec, RunState(status=Status.COMPLETED, started=spec.created, ended=spec.created + 9)))
        ended = {"seq": 1, "type": "status", "status": "Completed", "time": spec.created + 9, "ended": spec.created + 9}
        with aside.events.open("ab") as file:
            file.write(dump_json(ended))
    writer.put_many(entries)
    os.utime(experiment, ns=(0, 10**18))
    writer.seen(experiment, 10**18, MANY)
    writer.close()


def _latency(active: int) -> Iterator[dict[str, Any]]:
    """From log() in a process that trains to the message at a page that follows all of the runs."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        place = WorkspaceDir(home, "default").make()
        going = [_begun(place, number) for number in range(active)]
        writers = [MetricWriter(str(run.metrics)) for run in going]
        with server(home) as client:
            live = client.live()
            for number, run in enumerate(going):
                _say(live, do="open", sub=number, what="run", run=run.run_id)
                hello = {"type": "hello", "view": str(number), "have": None, "buckets": 400}
                _say(live, do="say", sub=number, message=hello)
            _say(live, do="open", sub=10_000, what="runs", query={"limit": 100})
            took = sorted(_measure(live, writers))
            live.close()
        for writer in writers:
            writer.close()
    for part, value in (("p50", took[len(took) // 2]), ("p95", took[int(len(took) * 0.95)])):
        yield row(
            f"server: log() to its message, {active} active runs followed, {part} (floor: one look in 50 ms)",
            value, 50.0, "ms", None,
        )  # fmt: skip


def _begun(place: WorkspaceDir, number: int) -> RunDir:
    run = recorded_run(place, number=number)
    state = runs.move(run, runs.recorded(run), Status.STARTING, generation=1)
    runs.move(run, state, Status.RUNNING, started=time.time())
    return run


def _say(live: websocket.WebSocket, **message: Any) -> None:
    live.send(json.dumps(message))


def _measure(live: websocket.WebSocket, writers: list[MetricWriter]) -> Iterator[float]:
    """Milliseconds of each of ``LOGGED`` calls; the other runs log all the time, too."""
    seen: dict[int, int] = {}
    for step in range(LOGGED):
        for number, writer in enumerate(writers):
            writer.log("loss", 1.0 / (step + 1), step=step)
            if number == 0:
                begun = time.perf_counter()
        while seen.get(0, 0) <= step:
            header = _hear(live)
            for one in header.get("series", ()):
                if one["name"] == "loss":
                    seen[header["sub"]] = one["count"]
        yield (time.perf_counter() - begun) * 1e3
        time.sleep(PAUSE)


def _hear(live: websocket.WebSocket) -> dict[str, Any]:
    _, data = live.recv_data()
    (length,) = struct.unpack("<I", data[:4])
    found: dict[str, Any] = json.loads(data[4 : 4 + length])
    return found
