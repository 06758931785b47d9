"""What the routes that read answer."""

from __future__ import annotations

from jupyter_mlrun.store.home import WorkspaceDir
from tests.runs import ended_run, recorded_run
from tests.server.conftest import Server


def test_a_list_of_runs(server: Server, place: WorkspaceDir) -> None:
    ended_run(place, number=1)
    ended_run(place, number=2, code=3)
    recorded_run(place, number=3)
    answer = server.get("api/runs")
    assert answer.status == 200, answer.body
    found = answer.json
    assert [row["id"] for row in found["runs"]] == [f"exp_{1_700_000_000 + n}_{n:08x}" for n in (3, 2, 1)]
    assert found["total"] == 3
    assert found["counts"] == {"Completed": 1, "Failed": 1, "NotStarted": 1}
    assert found["experiments"] == [{"name": "exp", "runs": 3, "active": 1}]
    assert found["runs"][1]["reason"] == "ended with 3"
