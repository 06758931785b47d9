"""ps is right whatever became of the agent, and shows active runs however old they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jupyter_mlrun import cli_rows
from jupyter_mlrun.agent import client
from jupyter_mlrun.errors import AgentError
from jupyter_mlrun.store.home import WorkspaceDir
from tests.runs import CREATED, ended_run
from tests.support import finish, kill_agent, kill_worker, running, submit_cell


def test_an_old_active_run_is_listed_first(home: Path) -> None:
    run = running(submit_cell("import time\nfrom jupyter_mlrun import log\nlog('loss', 0.5)\ntime.sleep(600)"))
    os.utime(run.path)
    place = WorkspaceDir(home, "default")
    for number in range(3):
        # later than any clock
        ended_run(place, experiment="later", number=10**9 - CREATED % 10**9 + number)
    listed = cli_rows.rows(home, limit=2)
    assert [row.run_id == run.id for row in listed] == [True, False]
    assert [row.over for row in cli_rows.rows(home, limit=None)] == [False, True, True, True]
    run.cancel()
    finish(run)


def test_a_run_that_ended_unseen_is_listed_as_ended(home: Path) -> None:
    run = running(submit_cell("import time\ntime.sleep(600)"))
    kill_agent(home)
    kill_worker(run)
    assert client.agent_of(home) is None
    assert [row.over for row in cli_rows.rows(home, limit=20)] == [False], "a new worker watches it"
    assert client.agent_of(home) is not None
    run.cancel()
    finish(run)
    assert [row.status for row in cli_rows.rows(home, limit=20)] == ["Canceled"]


def test_without_an_agent_the_files_are_listed(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = running(submit_cell("import time\ntime.sleep(600)"))

    def broken(*_: object) -> None:
        raise AgentError("it does not start")

    with monkeypatch.context() as patch:
        patch.setattr(client, "sync", broken)
        assert [row.run_id for row in cli_rows.rows(home, limit=20)] == [run.id]
    assert "it does not start" in capsys.readouterr().err
    run.cancel()
    finish(run)


def test_limits_count_after_filters(home: Path) -> None:
    place = WorkspaceDir(home, "default").make()
    for number in range(12):
        ended_run(place, experiment=f"exp{number % 2}", number=number, code=int(number < 4))
    assert [row.created - CREATED for row in cli_rows.rows(home, limit=2, experiment="exp0")] == [10, 8]
    assert [row.created - CREATED for row in cli_rows.rows(home, limit=3, status="failed")] == [3, 2, 1]
    assert len(cli_rows.rows(home, limit=None, status="Completed")) == 8
    assert cli_rows.rows(home, limit=5, experiment="none") == []
