"""Homes of every format that was ever released: what programs of that time wrote is read whole (tests/fixtures)."""

from __future__ import annotations

import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from jupyter_mlrun import upkeep
from jupyter_mlrun.check import check
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.sdk.workspace import Workspace
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.store.index import listing
from tests.support import finish, log_of, submit_cell

FIXTURES = Path(__file__).parent / "fixtures"
METRICS = {
    "loss": [1 / (n + 1) for n in range(20)],
    "note": "fine",
    "a": list(range(20)),
    "b": [2.0 * n for n in range(20)],
    "c": [1.5] * 20,
    "d": [True] * 20,
}


@pytest.fixture(params=[1])
def old(home: Path, request: pytest.FixtureRequest) -> Path:
    """A home as a program of format N left it, with no index and no agent."""
    with tarfile.open(FIXTURES / f"home-format-{request.param}.tar.xz") as archive:
        archive.extractall(home.parent, filter="tar")
    (home.parent / "home").rename(home)
    home.chmod(0o700)
    return home


def runs_of(home: Path) -> dict[str, Run]:
    """By status: the fixture has one run of each."""
    rows = listing(WorkspaceDir(home, "default"))
    return {str(row.status): Workspace("default", home=home).get_run(row.run_id) for row in rows}


def files_of(home: Path) -> dict[str, bytes]:
    """Everything but the index and the agent's own folder."""
    found = {str(p.relative_to(home)): p for p in home.rglob("*") if p.is_file() and "index" not in p.name}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith(".agent/")}


def test_its_runs_read(old: Path) -> None:
    before = files_of(old)
    upkeep.repair(old)
    runs = runs_of(old)
    assert sorted(runs) == ["Canceled", "Completed", "Failed"]
    assert runs["Completed"].spec.experiment == "täst-1"
    assert runs["Completed"].spec.tags == {"stage": "one"}
    assert log_of(runs["Completed"]) == "trained ['--lr', '0.1']\n"
    assert runs["Completed"].get_metrics() == METRICS
    assert "ValueError: on purpose" in log_of(runs["Failed"])
    assert runs["Failed"].spec.parameters["lr"]["value"] == 0.5
    assert runs["Failed"].state.exit_code == 1
    assert check(old) == []
    assert files_of(old) == before, "reading an old home changes nothing in it"


def test_its_snapshots_are_restored_and_run_again(old: Path, tmp_path: Path) -> None:
    upkeep.repair(old)
    run = runs_of(old)["Completed"]
    with zipfile.ZipFile(run.restore_snapshot(path=tmp_path)) as archive:
        assert archive.read(str(run.spec.script)).startswith(b"import")
    again = run.rerun()
    assert str(finish(again).status) == "Completed"
    assert log_of(again) == log_of(run)
    assert again.get_metrics() == run.get_metrics()


def test_new_runs_leave_its_format_and_the_first_data_set_raises_it(old: Path, tmp_path: Path) -> None:
    assert str(finish(submit_cell("print('new')")).status) == "Completed"
    assert json.loads((old / "format.json").read_text()) == {"format": 1}
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.txt").write_text("a")
    Workspace("default", home=old).get_default_datastore().upload(str(tmp_path / "data"), "a")
    assert json.loads((old / "format.json").read_text()) == {"format": 2}
    assert check(old) == []
