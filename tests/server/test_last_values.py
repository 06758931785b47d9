"""What a list says of an ended run's metrics are the last values, whatever it said while the run went on."""

from __future__ import annotations

import time

from jupyter_mlrun.rundir import dump_json, write_new
from jupyter_mlrun.server.listing import Shelf
from jupyter_mlrun.server.lists import freshen, window
from jupyter_mlrun.server.query import Question
from jupyter_mlrun.states import Status
from jupyter_mlrun.store import runs
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.worker.segment import MetricWriter
from tests.runs import ended_run, recorded_run

from .conftest import Server


def test_the_last_value_of_a_run_that_was_followed_to_its_end(server: Server, place: WorkspaceDir) -> None:
    run = recorded_run(place)
    state = runs.move(run, runs.recorded(run), Status.STARTING, generation=1)
    runs.move(run, state, Status.RUNNING, started=time.time())
    metrics = MetricWriter(str(run.metrics))
    metrics.log("loss", 2.5, step=1)
    assert server.get("api/runs").json["runs"][0]["primary"]["last"] == "2.5"
    metrics.log("loss", 0.125, step=2)
    metrics.close()
    found = {"status": "Completed", "reason": "finished", "text": "", "exit_code": 0, "ended": time.time()}
    write_new(run.exit, dump_json(found))
    runs.finish(run, runs.recorded(run), found)
    row = server.get("api/runs").json["runs"][0]
    assert row["over"]
    assert row["primary"]["last"] == row["metrics"]["loss"] == "0.125"
    assert row["primary"]["spark"][-1] == 0.125


def test_where_everything_takes_long_every_curve_is_read_in_the_end(place: WorkspaceDir) -> None:
    for number in range(3):
        metrics = MetricWriter(str(ended_run(place, number=number).metrics))
        metrics.log("loss", float(number), step=1)
        metrics.close()
    shelf = Shelf(place)
    found = window(shelf, Question({}), 1.0)
    left = []
    while not freshen(shelf, found, 1.0, seconds=-1.0):
        left.append(sum(entry.needs_spark for entry in found.entries))
    assert left == [2, 1]
    assert [entry.line(None)["primary"]["spark"] for entry in found.entries] == [[2.0], [1.0], [0.0]]  # type: ignore[index]
    shelf.close()
