"""Runs beside one another: the table, the figure, and the verbs of the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import jupyter_mlrun
from jupyter_mlrun import differences
from jupyter_mlrun.cli import cli
from jupyter_mlrun.errors import BadInput, NotFound
from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.sdk.compare import Comparison, compare
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.store import runs as store
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.worker.segment import MetricWriter
from tests.runs import ended_run

HOSTILE = "<img src=x onerror=alert(1)>"


def test_differences_are_found_section_by_section() -> None:
    a = differences.Facts({"parameters": {"lr": "1", "same": "x"}, "metrics": {"loss": "0.5"}})
    b = differences.Facts({"parameters": {"lr": "2", "same": "x"}, "tags": {"new": ""}})
    rows = differences.table([a, b])
    assert [(row.section, row.name, row.values, row.differs) for row in rows] == [
        ("parameters", "lr", ("1", "2"), True),
        ("parameters", "same", ("x", "x"), False),
        ("metrics", "loss", ("0.5", None), True),
        ("tags", "new", (None, ""), True),
    ]


@pytest.mark.parametrize(
    ("names", "common"),
    [([["a", "b"], ["b", "c"]], ["b"]), ([["b", "a"]], ["a", "b"]), ([["a"], [], ["a"]], ["a"]), ([], [])],
)
def test_metrics_in_common(names: list[list[str]], common: list[str]) -> None:
    assert differences.in_common(names) == common


def test_changes_of_a_tree() -> None:
    trees: list[dict[str, bytes]] = [
        {"a.py": b"1\n2\n", "gone": b"x\n", "same": b"s", "bin": b"\0", "cr": b"1\r\n"},
        {"a.py": b"1\n3\n", "new": b"y\n", "same": b"s", "bin": b"\0\0", "cr": b"1\n"},
    ]
    found, same = differences.changes(trees[0], trees[1], lambda which, path: trees[which][path])
    assert same == 1
    by_path = {one.path: one for one in found}
    assert [(one.path, one.status) for one in found] == [
        ("a.py", "changed"), ("bin", "changed"), ("cr", "changed"), ("gone", "removed"), ("new", "added"),
    ]  # fmt: skip
    assert "-2\n+3\n" in by_path["a.py"].diff
    assert (by_path["bin"].why, by_path["bin"].diff) == ("it is no text", "")
    assert by_path["cr"].why is not None


@pytest.fixture
def place(home: Path) -> WorkspaceDir:
    return WorkspaceDir(home, "default").make()


def logged(place: WorkspaceDir, number: int, content: bytes, values: dict[str, list[float]], **more: Any) -> Run:
    run = ended_run(place, number=number, content=content, **more)
    writer = MetricWriter(str(run.metrics))
    for name, series in values.items():
        for step, value in enumerate(series):
            writer.log(name, value, step)
    writer.close()
    return Run.at(RunDir(run.path))


@pytest.fixture
def both(place: WorkspaceDir) -> list[Run]:
    lr = [{"lr": {"text": text, "value": float(text)}} for text in ("0.1", "0.2")]
    return [
        logged(place, 0, b"print(1)\n", {"loss": [3, 2, 1], "only": [1, 2]}, parameters=lr[0], display_name="first"),
        logged(place, 1, b"print(2)\n", {"loss": [4, float("nan"), 2]}, parameters=lr[1], display_name="second"),
    ]


def test_a_comparison_has_what_differs(both: list[Run]) -> None:
    found = jupyter_mlrun.compare(*both)
    rows = {(row.section, row.name): row for row in found.table}
    assert rows["parameters", "lr"].values == ("0.1", "0.2")
    assert rows["metrics", "loss"].values == ("1", "2")
    assert rows["metrics", "only"].values == ("2", None)
    assert not rows["run", "status"].differs
    assert rows["code", "snapshot"].differs
    assert all(row.differs for row in found.differences)
    assert found.names == ["first", "second"]
    assert "first" in repr(found)


def test_runs_are_named_as_everywhere_and_counted_once(both: list[Run]) -> None:
    found = compare("first", [both[1].id, both[0]])
    assert [run.id for run in found.runs] == [both[0].id, both[1].id]


def test_two_runs_of_one_name_are_told_apart(place: WorkspaceDir) -> None:
    same = [logged(place, number, b"", {}, display_name="same") for number in (0, 1)]
    names = compare(same).names
    assert len(set(names)) == 2
    assert all(name.startswith("same (") for name in names)


@pytest.mark.parametrize("given", [(), ([],), (3,), (None,)])
def test_what_is_no_run_is_refused(given: tuple[Any, ...]) -> None:
    with pytest.raises(BadInput):
        compare(*given)


def test_a_run_that_is_not_there(both: list[Run]) -> None:
    with pytest.raises(NotFound):
        compare(both[0], "nobody")


def test_figure_has_a_line_for_each_run(both: list[Run]) -> None:
    made = compare(both).figure()
    assert [line.name for line in made.data] == ["first", "second"]
    assert list(made.data[0].y) == [3, 2, 1]
    assert len({line.line.color for line in made.data}) == 2
    second = list(made.data[1].y)
    assert second[0] == 4 and second[1] != second[1] and second[2] == 2  # noqa: PT018 -- NaN is a gap


def test_figure_shows_each_run_once_in_its_legend(both: list[Run]) -> None:
    made = compare(both, metrics=["loss", "only"]).figure(x="time", smoothing=0.5)
    assert [line.showlegend for line in made.data] == [True, True, False]
    assert len({trace.legendgroup for trace in made.data}) == 2


@pytest.mark.parametrize(
    ("more", "error"),
    [({"metrics": "nothing"}, NotFound), ({"x": "epoch"}, BadInput), ({"smoothing": 1}, BadInput)],
)
def test_figure_says_what_it_cannot_draw(both: list[Run], more: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        compare(both).figure(**more)


def test_nothing_of_a_run_is_markup(place: WorkspaceDir) -> None:
    hostile = [logged(place, n, b"", {HOSTILE: [n, 1]}, display_name=HOSTILE, tags={HOSTILE: str(n)}) for n in (0, 1)]
    found = compare(hostile)
    assert "<img" not in found._repr_html_()
    assert "&lt;img" in found._repr_html_()
    made = found.figure()
    assert "<img" not in made.to_json()
    assert len(made.data) == 2


def test_compare_on_the_command_line(both: list[Run]) -> None:
    said = CliRunner().invoke(cli, ["compare", "first", "second"])
    assert said.exit_code == 0, said.output
    assert "0.1" in said.output
    assert "0.2" in said.output
    assert "are the same" in said.output
    assert "local" not in said.output
    everything = CliRunner().invoke(cli, ["compare", "--all", "first", "second"]).output
    assert "local" in everything
    told = json.loads(CliRunner().invoke(cli, ["compare", "--json", *(run.id for run in both)]).output)
    assert told["runs"] == [run.id for run in both]
    assert {"section": "parameters", "name": "lr", "values": ["0.1", "0.2"], "differs": True} in told["rows"]


def test_diff_on_the_command_line(both: list[Run]) -> None:
    said = CliRunner().invoke(cli, ["diff", "first", "second"])
    assert said.exit_code == 0, said.output
    assert "parameters: lr: 0.1 → 0.2" in said.output
    assert "-print(1)\n+print(2)\n" in said.output
    assert "\x1b" not in said.output
    told = json.loads(CliRunner().invoke(cli, ["diff", "--json", "first", "second"]).output)
    assert [(one["path"], one["status"]) for one in told["files"]] == [("main.py", "changed")]
    assert told["parameters"] == [{"name": "lr", "a": "0.1", "b": "0.2"}]


def test_diff_of_a_run_and_itself_is_refused(both: list[Run]) -> None:
    said = CliRunner().invoke(cli, ["diff", "first", both[0].id])
    assert isinstance(said.exception, BadInput)


def test_the_magic_shows_figure_and_table(both: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    import IPython.display

    from jupyter_mlrun.cli import run_here

    shown: list[Any] = []
    monkeypatch.setattr(IPython.display, "display", shown.append)
    run_here(["compare", "first", "second"])
    assert [type(one).__name__ for one in shown] == ["Figure", "Comparison"]
    assert isinstance(shown[1], Comparison)
    shown.clear()
    run_here(["compare", "-m", "only", "first", "second"])
    assert [line.name for line in shown[0].data] == ["first"]


def test_a_run_without_snapshot_has_no_code_to_compare(place: WorkspaceDir, both: list[Run]) -> None:
    bare = Run.at(RunDir(ended_run(place, number=7, display_name="bare").path))
    assert store.read_spec(bare.directory).snapshot is None
    said = CliRunner().invoke(cli, ["diff", "bare", "first"])
    assert said.exit_code == 0, said.output
    assert "+print(1)" in said.output
