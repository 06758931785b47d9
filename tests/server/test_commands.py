"""What can be done to runs over HTTP: with a real agent, without a kernel."""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
from collections.abc import Callable

import pytest

from jupyter_mlrun.agent import client
from jupyter_mlrun.errors import AgentError
from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.sdk.submit import Request, submit
from jupyter_mlrun.server import commands
from jupyter_mlrun.settings import load
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.store.registry import Versions
from tests.runs import ended_run, recorded_run
from tests.server.conftest import Server
from tests.support import PATIENCE, finish, running, submit_cell

SLEEPER = "import signal\nprint('up', flush=True)\nsignal.pause()"


def test_stop_needs_no_kernel(server: Server) -> None:
    run = running(submit_cell(SLEEPER))
    live = server.live()
    live.follow(run.id)
    assert live.until(lambda one: "run" in one)["run"]["can_stop"]
    answer = server.post(f"api/runs/{run.id}/stop")
    assert (answer.status, answer.json) == (202, {"id": run.id})
    assert live.until(lambda one: one.get("run", {}).get("over"))["run"]["status"] == "Canceled"
    assert str(finish(run).status) == "Canceled"
    assert server.post(f"api/runs/{run.id}/stop").status == 202, "too late is no error"
    live.close()


def test_stop_over_the_live_channel_and_of_several(server: Server) -> None:
    both = [running(submit_cell(SLEEPER)) for _ in range(2)]
    live = server.live()
    live.follow(both[0].id)
    live.say(do="say", sub=1, message={"type": "command", "ask": 5, "name": "stop"})
    assert live.until(lambda one: one["type"] == "done")["error"] is None
    answer = server.post("api/runs/stop", {"runs": [one.id for one in both] + ["exp_1_00000000"]})
    assert [one["error"] and one["error"]["kind"] for one in answer.json["runs"]] == [None, None, "NotFound"]
    assert {str(finish(one).status) for one in both} == {"Canceled"}
    live.close()


def test_an_agent_that_does_not_answer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "ANSWER_SECONDS", 0.5)
    run = running(submit_cell(SLEEPER))
    who = client.agent_of(run.home)
    assert who is not None
    os.kill(who["pid"], signal.SIGSTOP)
    try:
        answer = server.post(f"api/runs/{run.id}/stop")
        assert (answer.status, answer.json["error"]["kind"]) == (503, "Agent")
        assert "stands" in answer.json["error"]["message"]
        assert server.get("api/runs").json["total"] == 1, "what is there is shown"
    finally:
        os.kill(who["pid"], signal.SIGCONT)
    assert str(finish(run).status) == "Canceled", "what was asked is done when it can be"


def test_a_run_of_another_machine_is_stopped_there(server: Server, place: WorkspaceDir) -> None:
    run = recorded_run(place, created_by={"user": "x", "host": "other", "host_id": "another"})
    answer = server.post(f"api/runs/{run.run_id}/stop")
    assert (answer.status, answer.json["error"]["hint"]) == (409, "stop it there")


def test_tags_and_names(server: Server, place: WorkspaceDir) -> None:
    run = ended_run(place, number=1)
    base = f"api/runs/{run.run_id}"
    assert server.post(f"{base}/tag", {"set": {"a": "1", "b": "2"}, "remove": ["number"]}).status == 200
    assert server.post(f"{base}/rename", {"name": "näme", "description": "long\ntext"}).status == 200
    assert server.post(f"{base}/rename", {"name": "  "}).status == 400
    assert server.post(f"{base}/rename", {"name": "a\nb"}).status == 400
    assert server.post(f"{base}/rename", {}).status == 400
    assert server.post(f"{base}/tag", {}).status == 400
    found = server.get(base).json
    assert (found["name"], found["description"], found["tags"]) == ("näme", "long text", {"a": "1", "b": "2"})
    assert Run.at(run).tags == {"a": "1", "b": "2"}


def test_models(server: Server, place: WorkspaceDir) -> None:
    run = ended_run(place, number=1)
    (run.outputs / "model.pt").write_bytes(b"weights")
    answer = server.post(f"api/runs/{run.run_id}/register", {"name": "net", "path": "outputs/model.pt"})
    assert (answer.status, answer.json) == (201, {"name": "net", "version": 1})
    assert Versions(place, "model").names() == ["net"]
    assert server.get(f"api/runs/{run.run_id}").json["models"] == [{"name": "net", "version": 1}]
    assert server.post(f"api/runs/{run.run_id}/register", {"name": "net", "path": "none"}).status == 404
    assert server.post(f"api/runs/{run.run_id}/register", {}).status == 400


def test_delete(server: Server, place: WorkspaceDir) -> None:
    ended, other = ended_run(place, number=1), ended_run(place, number=2)
    active = recorded_run(place, number=3)
    names = [ended.run_id, other.run_id, active.run_id]
    assert server.ask("DELETE", f"api/runs/{names[2]}").status == 409
    assert server.ask("DELETE", f"api/runs/{names[0]}").status == 200
    answer = server.post("api/runs/delete", {"runs": names})
    assert [one["error"] and one["error"]["kind"] for one in answer.json["runs"]] == ["NotFound", None, "Conflict"]
    assert [row["id"] for row in server.get("api/runs").json["runs"]] == [names[2]]
    assert not other.path.exists()


def test_many_are_worked_at_side_by_side_and_each_tells_its_own_end(
    server: Server, place: WorkspaceDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [ended_run(place, number=number) for number in range(commands.AT_ONCE + 3)]
    together = threading.Barrier(commands.AT_ONCE, timeout=PATIENCE)
    begun = itertools.count()
    delete = commands._delete

    def meet(place: WorkspaceDir, run: RunDir) -> None:
        if next(begun) < commands.AT_ONCE:
            together.wait()  # broken, and so an error, where they come one after the other
        if run.path == made[1].path:
            raise ZeroDivisionError
        if run.path == made[2].path:
            raise PermissionError(13, "Permission denied")
        delete(place, run)

    monkeypatch.setattr(commands, "_delete", meet)
    names = [run.run_id for run in made]
    answer = server.post("api/runs/delete", {"runs": names})
    assert [one["id"] for one in answer.json["runs"]] == names
    ends = [one["error"] and one["error"]["kind"] for one in answer.json["runs"]]
    assert ends == [None, "Internal", "Store"] + [None] * commands.AT_ONCE
    assert "Permission denied" in answer.json["runs"][2]["error"]["message"]
    assert {row["id"] for row in server.get("api/runs").json["runs"]} == set(names[1:3])


def test_an_agent_that_does_not_answer_keeps_nobody_waiting_for_each_of_many(
    server: Server, place: WorkspaceDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def mute(home: object, what: object, *, wait: float) -> str:
        asked.append(wait)
        raise AgentError("no answer", hint="see its log")

    monkeypatch.setattr(commands, "AT_ONCE", 1)
    monkeypatch.setattr(client, "ensure_agent", lambda home: None)
    monkeypatch.setattr(client, "request", mute)
    names = [recorded_run(place, number=number).run_id for number in range(3)]
    answer = server.post("api/runs/stop", {"runs": names})
    assert [one["error"]["kind"] for one in answer.json["runs"]] == ["Agent"] * 3
    assert asked == [commands.ANSWER_SECONDS, commands.MUTE_SECONDS, commands.MUTE_SECONDS]


@pytest.fixture
def script(home: object) -> Callable[[], Run]:
    def make() -> Run:
        folder = os.path.join(os.environ["HOME"], "code")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "train.py"), "w", encoding="utf-8") as file:
            file.write("import sys\nprint(sys.argv[1:])\n")
        return submit(
            Request(script="train.py", cwd=folder, experiment="exp", parameters=("lr=0.1", "n=3"), arguments=("--x",)),
            load(),
        )

    return make


def test_again_with_something_else(server: Server, script: Callable[[], Run]) -> None:
    run = script()
    finish(run)
    base = f"api/runs/{run.id}/rerun"
    body = {"parameters": {"lr": "0.5"}, "name": "again", "priority": 2, "time": "5m", "tags": {"why": "more"}}
    answer = server.post(base, body)
    assert answer.status == 201, answer.body
    made = server.service.run(server.service.workspace(None), answer.json["id"])
    again = Run.at(made)
    finish(again)
    assert made.log().read_text() == "['--lr', '0.5', '--n', '3', '--x']\n"
    spec = again.spec
    assert (spec.display_name, spec.priority, spec.resources.time, spec.tags) == ("again", 2, 300.0, {"why": "more"})
    assert spec.rerun_of == run.id
    for wrong in ({"parameters": {"none": "1"}}, {"gpus": "many"}, {"memory": "much"}, {"cpus": 0}, {"cpus": 10_000}):
        assert server.post(base, wrong).status == 400, wrong
    assert len(server.get("api/runs").json["runs"]) == 2, "what was refused left nothing"


def test_the_page_of_a_run(server: Server, place: WorkspaceDir, tmp_path: object) -> None:
    run = ended_run(place, number=1)
    url = Run.at(run).get_portal_url()
    assert url == f"http://127.0.0.1:{server.app.port}/jupyter-mlrun/runs/{run.run_id}"
    assert server.get(url.partition(server.host)[2]).status == 200
    (mark,) = (place.home.parent / "user/runtime").glob("jupyter_mlrun-*.json")
    assert "token" not in mark.read_text()
    server.stop()
    assert not mark.exists()
    assert Run.at(run).get_portal_url() == run.page.as_uri()


@pytest.mark.parametrize("change", [{"pid": 1, "start": 1}, {"home": "/other"}, {"url": "javascript:alert(1)"}, None])
def test_a_mark_that_is_not_to_be_believed(
    server: Server, place: WorkspaceDir, change: dict[str, object] | None
) -> None:
    run = RunDir(ended_run(place, number=1).path)
    (mark,) = (place.home.parent / "user/runtime").glob("jupyter_mlrun-*.json")
    mark.write_text("{" if change is None else json.dumps({**json.loads(mark.read_text()), **change}))
    assert Run.at(run).get_portal_url() == run.page.as_uri()
