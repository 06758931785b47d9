"""Names, links and disks that are out to harm: nothing outside of a run is read, nothing waits for ever."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from jupyter_mlrun.errors import BadInput, NotFound
from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.server import lists, opening
from jupyter_mlrun.server.bodies import parse, shaped
from jupyter_mlrun.server.pool import Busy, Pool
from jupyter_mlrun.store.home import WorkspaceDir
from tests.runs import ended_run
from tests.server.conftest import Server
from tests.support import PATIENCE, until

SECRET = "sentinel-of-a-secret"
NAMES = [
    "../../../etc/passwd", "/etc/passwd", "outputs/../../env.json", "outputs/../env.json", "env.json", "spec.json",
    "./env.json", "outputs", "outputs/", "", ".", "..", "outputs/../../../" * 5 + "etc/passwd", "outputs/\0.txt",
    "outputs/..%2f..%2fenv.json", "..\\..\\env.json", "outputs//../env.json", "~/.ssh/id_rsa", "%2e%2e/env.json",
    "file:///etc/passwd", "outputs/" + "x" * 5000, "outputs/link.txt", "outputs/folder/env.json", "outputs/inner.txt",
    "outputs/pipe", "work/cell.py", "worker.log", "metrics/x", "outputs/\ud800".encode("utf-8", "replace").decode(),
    "CON", "outputs/.." + "/.." * 20, "artifacts/../env.json", "outputs/dead",
]  # fmt: skip


@pytest.fixture
def run(place: WorkspaceDir, tmp_path: Path) -> RunDir:
    """A run with something secret in it and beside it, and links to both."""
    run = ended_run(place)
    run.environment.write_text(json.dumps({"PASSWORD": SECRET}))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "env.json").write_text(SECRET)
    (run.outputs / "link.txt").symlink_to(outside / "env.json")
    (run.outputs / "folder").symlink_to(outside)
    (run.outputs / "inner.txt").symlink_to(run.environment)
    (run.outputs / "dead").symlink_to(tmp_path / "nowhere")
    (run.outputs / "good.txt").write_text("fine")
    (run.outputs / "alias.txt").symlink_to("good.txt")
    os.mkfifo(run.outputs / "pipe")
    return run


@pytest.mark.parametrize("name", NAMES)
def test_names_lead_nowhere(run: RunDir, name: str) -> None:
    with pytest.raises((BadInput, NotFound)):
        os.close(opening.open_file(run, name)[0])


def test_no_route_gives_a_secret(server: Server, run: RunDir) -> None:
    base = f"api/runs/{run.run_id}"
    for name in NAMES:
        for route in ("file", "code/file"):
            answer = server.get(f"{base}/{route}?path={quote(name)}")
            assert answer.status in {400, 404}, (route, name, answer.status)
            assert SECRET.encode() not in answer.body
    for name in ("..", "%2e%2e", "..%2f..%2fetc", "exp_1_00000000%00", "x" * 5000, "exp_1700000000_00000000/../.."):
        for more in ("", "/files", "/file?path=env.json", "/metrics", "/lines"):
            assert server.get(f"api/runs/{name}{more}").status in {400, 404}, (name, more)
            assert server.post(f"api/runs/{name}/tag", {"set": {"a": "b"}}).status in {400, 404}
    for name in ("../x", "..", "%2e%2e", "a/b", "x" * 300, "nothere"):
        assert server.get(f"api/runs?workspace={name}").status in {400, 404}, name


def test_a_link_inside_of_the_run_is_followed(server: Server, run: RunDir) -> None:
    assert server.get(f"api/runs/{run.run_id}/file?path=outputs/alias.txt").body == b"fine"
    kinds = {one["path"]: one["kind"] for one in server.get(f"api/runs/{run.run_id}/files").json["files"]}
    assert kinds["outputs/link.txt"] == kinds["outputs/inner.txt"] == "link"
    assert kinds["outputs/alias.txt"] == kinds["outputs/good.txt"] == "text"
    assert "outputs/pipe" not in kinds


def test_a_name_that_becomes_a_link_is_not_followed(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    target = run.outputs / "good.txt"
    within = opening._within

    def change(root: str, path: str) -> list[str] | None:
        found = within(root, path)
        target.unlink()
        target.symlink_to(run.environment)
        return found

    monkeypatch.setattr(opening, "_within", change)
    with pytest.raises(NotFound):
        opening.open_file(run, "outputs/good.txt")


@pytest.mark.parametrize("name", ["page.html", "x.svg", "x.js", "run.xml", "a.htm", "x.png", "x.bin", "noending"])
def test_nothing_of_a_run_runs_in_a_browser(server: Server, run: RunDir, name: str) -> None:
    (run.outputs / name).write_text("<script>alert(1)</script>")
    for preview in ("", "&preview=1"):
        answer = server.get(f"api/runs/{run.run_id}/file?path=outputs/{name}{preview}")
        assert answer.status == 200
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
        kind = answer.headers["Content-Type"]
        assert kind in {"application/octet-stream", "text/plain; charset=utf-8", "image/png"}
        inline = answer.headers["Content-Disposition"].startswith("inline")
        assert inline == (bool(preview) and kind != "application/octet-stream")


def test_hostile_names_stay_text(server: Server, place: WorkspaceDir) -> None:
    bad = '"><img src=x onerror=alert(1)>\r\nSet-Cookie: a=b'
    run = ended_run(place, number=9, tags={bad: bad}, display_name=bad)
    (run.outputs / 'a"; filename=b.html').write_text("x")
    answer = server.get(f"api/runs/{run.run_id}/file?path=" + quote('outputs/a"; filename=b.html'))
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''a%22%3B%20filename%3Db.html"
    row = server.get("api/runs").json["runs"][0]
    assert not {"\r", "\n"} & set(row["name"] + "".join(row["tags"]))
    page = server.get(f"runs/{run.run_id}")
    assert page.status == 200
    assert b"<img src=x" not in page.body
    assert "script-src 'self';" in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"].partition("style-src")[0]


# ---- what hangs ------------------------------------------------------------------------------------------------


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    opened = threading.Event()
    yield opened
    opened.set()


def test_a_disk_that_hangs_costs_its_askers_a_quick_refusal(
    server: Server, run: RunDir, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung: list[float] = []

    def hang(*_: Any) -> None:
        hung.append(time.monotonic())
        gate.wait()

    monkeypatch.setattr(lists, "runs_of", hang)
    pool = server.service.pool
    pool.limit, pool.threads = 0.05, 2
    # a question may be given up before a thread took it: then none hangs for it
    while len(hung) < pool.threads:
        answer = server.get("api/runs")
        assert answer.status == 503
        assert answer.json["error"]["kind"] == "Busy"
        assert answer.headers["Retry-After"] == "2"
    # every thread hangs: the next is refused without waiting at all
    until(lambda: time.monotonic() - hung[-1] > pool.limit, "both have hung for longer than the limit")
    answer = server.get(f"api/runs/{run.run_id}/files")
    assert (answer.status, answer.json["error"]["message"][:8]) == (503, "too much")
    assert server.get("runs/nonsense").status == 404, "the event loop goes on"
    gate.set()
    monkeypatch.undo()
    pool.limit = PATIENCE
    until(lambda: server.get("api/runs").status == 200, "the threads are back")


def test_a_pool_refuses_what_would_only_wait(gate: threading.Event) -> None:
    pool = Pool("test", threads=1, limit=float("inf"), queued=2)
    began = threading.Event()

    def hang() -> None:
        began.set()
        gate.wait()

    pool.submit(hang)
    assert began.wait(PATIENCE)
    waiting = [pool.submit(int, "1") for _ in range(2)]
    with pytest.raises(Busy):
        pool.submit(int, "1")
    gate.set()
    assert [one.result(PATIENCE) for one in waiting] == [1, 1]
    assert pool.submit(int, "2").result(PATIENCE) == 2
    pool.close()


def test_a_download_that_stops_in_the_middle_is_no_whole_file(
    server: Server, run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    import http.client

    from jupyter_mlrun.server import files

    (run.outputs / "big.bin").write_bytes(b"x" * (3 * files.PIECE))
    read = files.OpenFile.read

    def broken(self: Any, offset: int, count: int) -> bytes:
        if offset:
            raise OSError(5, "the disk is broken")
        return read(self, offset, count)

    monkeypatch.setattr(files.OpenFile, "read", broken)
    with pytest.raises(http.client.IncompleteRead):
        server.get(f"api/runs/{run.run_id}/file?path=outputs/big.bin")


def test_an_error_of_ours_says_where_and_not_what(
    server: Server, run: RunDir, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(lists, "runs_of", fail)
    answer = server.get("api/runs", headers={"X-Mine": SECRET})
    assert answer.status == 500
    assert answer.json["error"]["kind"] == "Internal"
    name = answer.json["error"]["message"].rpartition(" ")[2].rstrip(")")
    assert name in caplog.text
    assert "test_safety.py" in caplog.text
    assert SECRET not in caplog.text
    assert SECRET.encode() not in answer.body


# ---- what is sent ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'{"set": 5}', b'{"set": {"a": 5}}', b'{"set": {}, "set": {}}', b'{"x": 1}',
        b"[" * 60_000, b'{"set": NaN}', b"\xff\xfe", b'{"remove": "all"}', b'{"set": {"": "x"}}', b"9" * 10_000,
        b'{"set": {"a": "\\ud800"}}', b'{"set": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001,
    ],
)  # fmt: skip
def test_bodies_that_are_wrong(server: Server, run: RunDir, body: bytes) -> None:
    answer = server.post(f"api/runs/{run.run_id}/tag", body)
    assert answer.status == 400, answer.body
    assert answer.json["error"]["kind"] == "BadInput"
    assert not run.annotations.exists()


def test_a_body_that_is_too_large(server: Server, run: RunDir) -> None:
    answer = server.post(f"api/runs/{run.run_id}/tag", json.dumps({"set": {"a": "x" * 100_000}}))
    assert (answer.status, answer.json["error"]["kind"]) == (413, "TooLarge")


@pytest.mark.parametrize("query", ["offset=x", "limit=1e9x", "status=nonsense", "sort=", "sort=metric", "text=%ff"])
def test_queries_that_are_wrong(server: Server, query: str) -> None:
    assert server.get(f"api/runs?{query}").status == (200 if query == "sort=" else 400)


def test_parsing_says_what_is_wrong() -> None:
    from jupyter_mlrun.server.api import TagBody

    with pytest.raises(BadInput, match="twice"):
        parse('{"a": 1, "a": 2}', 100)
    with pytest.raises(BadInput, match="'more' means nothing"):
        shaped({"more": 1}, TagBody)
