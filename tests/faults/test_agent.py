"""The agent's own faults: a stale socket, an older version, odd requests, a run that submits (F007)."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import pytest

from jupyter_mlrun.agent import client, main
from jupyter_mlrun.errors import StoreError
from jupyter_mlrun.rundir import write_atomic
from tests.support import describe, finish, kill_agent, log_of, submit_cell, until


def test_a_stale_socket_and_agent_file_are_replaced(home: Path) -> None:
    finish(submit_cell("pass"))
    kill_agent(home)
    assert client.AgentDir(home).who.exists()
    assert os.path.exists(client.AgentDir(home).socket)
    assert client.agent_of(home) is None
    assert str(finish(submit_cell("pass")).status) == "Completed"


def test_what_a_killed_agent_said_of_itself_keeps_nobody_from_starting(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two start at once where one was killed: who comes second waits for the word of the first."""
    finish(submit_cell("pass"))
    kill_agent(home)
    assert client.AgentDir(home).who.exists()
    tried: list[str] = []

    class Second(main.Agent):
        def take_lock(self) -> bool:
            tried.append("lock")
            return len(tried) > 3

        def open(self) -> None:
            tried.append("open")

        def run(self) -> None:
            tried.append("run")
            self.bell.close()
            for fd in (self._wake_reader, self._wake_writer):
                os.close(fd)

    monkeypatch.setattr(main, "Agent", Second)
    monkeypatch.setattr(main, "_detach", lambda _: os.open(os.devnull, os.O_WRONLY))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert main.main([str(home)]) == 0
    assert tried == [*["lock"] * 4, "open", "run"]


def test_the_wish_that_a_killed_agent_go_is_not_left_to_the_next(home: Path) -> None:
    finish(submit_cell("pass"))
    agent = client.AgentDir(home)
    who = client.agent_of(home)
    assert who is not None
    os.kill(who["pid"], signal.SIGSTOP)
    asked = threading.Thread(target=client.stop_agent, args=(home,))
    asked.start()
    until(lambda: list(agent.requests.glob("*.json")), "the wish")
    os.kill(who["pid"], signal.SIGKILL)
    asked.join()
    assert not list(agent.requests.iterdir())
    assert str(finish(submit_cell("pass")).status) == "Completed"


def test_a_folder_for_sockets_that_is_not_ours_alone_is_refused(home: Path) -> None:
    folder = Path(client.runtime_folder(home))
    folder.chmod(0o755)
    with pytest.raises(StoreError, match="not a private folder"):
        client.runtime_folder(home)
    folder.chmod(0o700)


def test_an_older_agent_hands_over(home: Path) -> None:
    run = submit_cell("import time\ntime.sleep(600)")
    first = client.agent_of(home)
    assert first is not None
    write_atomic(client.AgentDir(home).who, json.dumps({**first, "version": "0.0.1"}).encode())
    second = client.ensure_agent(home)
    assert second["pid"] != first["pid"]
    assert second["version"] != "0.0.1"
    run.cancel()
    assert str(finish(run).status) == "Canceled"


def test_requests_that_are_none_harm_nothing(home: Path) -> None:
    client.ensure_agent(home)
    requests = client.AgentDir(home).requests
    (requests / "a.json").write_text("{")
    (requests / "b.json").write_text('{"kind": "dance"}')
    (requests / "c.json").write_text('{"kind": "stop", "path": "/etc"}')
    client.sync(home)
    assert not list(requests.glob("*.json"))


def test_a_run_that_submits_does_not_take_its_agent_or_child_with_it(home: Path) -> None:
    cell = (
        "from jupyter_mlrun import settings\n"
        "from jupyter_mlrun.agent import client\n"
        "from jupyter_mlrun.sdk.submit import Request, submit\n"
        "import os, signal\n"
        "who = client.agent_of(settings.default_home())\n"
        "os.kill(who['pid'], signal.SIGKILL)\n"
        "while client.agent_of(settings.default_home()): pass\n"
        "print(submit(Request(cell='import time; time.sleep(1); print(7)', experiment='child'), settings.load()).id)\n"
    )
    outer = submit_cell(cell)
    state = finish(outer)
    assert str(state.status) == "Completed", describe(outer)
    inner = outer.experiment.workspace.get_run(log_of(outer).strip())
    assert str(finish(inner).status) == "Completed", describe(inner)
    assert log_of(inner) == "7\n"
