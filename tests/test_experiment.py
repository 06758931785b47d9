"""``Experiment``: names, what is said of one, its runs by what is asked, and how it goes."""

from __future__ import annotations

import inspect
import os
from pathlib import Path

import pytest

from jupyter_mlrun import BadInput, Conflict, Experiment, NotFound, Run, ScriptRunConfig, Workspace
from jupyter_mlrun.agent import client
from jupyter_mlrun.check import check
from jupyter_mlrun.sdk.experiment import ViewType
from jupyter_mlrun.sdk.find import find
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.store.index import listing
from tests.runs import ended_run

MEMBERS = """submit(config, tags) start_logging() archive() reactivate(new_name) tag(key, value) set_tags(tags)
remove_tags(tags) refresh() from_directory(path, auth) list(workspace, experiment_name, view_type, tags)
get_runs(type, tags, properties, include_children) get_docs_url() get_portal_url()"""
WORDS = "<script>alert(1)</script> здесь"


def start(experiment: Experiment, **options: object) -> Run:
    run = experiment.start_logging(snapshot_directory=None, outputs=False, **options)
    run.complete()
    return run


@pytest.mark.parametrize("member", [m.strip() for m in MEMBERS.replace("\n", " ").split(")") if m.strip()])
def test_every_method_of_the_reference_is_there(member: str) -> None:
    name, _, parameters = member.partition("(")
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD,)
    found = [p.name for p in inspect.signature(getattr(Experiment, name)).parameters.values() if p.kind in kinds]
    assert [n for n in found if n not in ("self", "cls")] == [p.strip() for p in parameters.split(",") if p.strip()]


def test_it_is_made_where_it_is_missing(home: Path) -> None:
    workspace = Workspace()
    one = Experiment(workspace, "vögel_2-x")
    assert Experiment.list(workspace) == [one] == [Experiment(workspace, "vögel_2-x")]
    assert (one.id, one.name, one.workspace, one.workspace_object) == (one.name, "vögel_2-x", workspace, workspace)
    assert one.tags == {}
    assert one.archived_time is None
    assert list(one.get_runs()) == []
    one.refresh()
    client.sync(home)
    assert check(home) == []


@pytest.mark.parametrize("name", ["", "a b", "a/b", "..", "a.b", "x" * 256, "<b>", "a\n", None, 3])
def test_names_that_are_none(home: Path, name: object) -> None:
    with pytest.raises(BadInput):
        Experiment(Workspace(), name)
    assert not home.exists(), "found before anything is written"


def test_the_longest_name(home: Path) -> None:
    one = Experiment(Workspace(), "ж" * 255)
    run = start(one)
    assert list(one.get_runs()) == [run]
    assert [e.name for e in Experiment.list(Workspace())] == ["ж" * 255]
    assert run.experiment == one


def test_tags(home: Path) -> None:
    one = Experiment(Workspace(), "tagged")
    one.tag("a", "1")
    one.set_tags({"b": 2, WORDS: WORDS})
    one.remove_tags(["a", "never"])
    assert Experiment(Workspace(), "tagged").tags == {"b": "2", WORDS: WORDS}
    other = Experiment(Workspace(), "other")
    assert Experiment.list(Workspace(), tags="b") == Experiment.list(Workspace(), tags={"b": "2"}) == [one]
    assert Experiment.list(Workspace(), tags={"b": "3"}) == []
    assert Experiment.list(Workspace(), experiment_name="other") == [other]


def test_the_hint_for_an_archived_experiment_says_how_it_comes_back(home: Path) -> None:
    workspace = Workspace("default", home=home)
    Experiment(workspace, "there")
    Experiment(workspace, "gone").archive()
    with pytest.raises(
        KeyError, match=r"no experiment 'gone'\n.*archived.*Experiment\(workspace, 'gone'\)\.reactivate"
    ):
        workspace.experiments["gone"]
    with pytest.raises(KeyError, match="did you mean 'there'"):
        workspace.experiments["ther"]
    Experiment(workspace, "gone").reactivate()
    assert workspace.experiments["gone"].name == "gone"


def test_archive(home: Path) -> None:
    workspace = Workspace()
    one, other = Experiment(workspace, "one"), Experiment(workspace, "other")
    one.archive()
    assert one.archived_time is not None
    assert Experiment.list(workspace) == [other]
    assert Experiment.list(workspace, view_type=ViewType.ArchivedOnly) == [one]
    assert Experiment.list(workspace, view_type=ViewType.All) == [one, other]
    one.reactivate()
    assert Experiment.list(workspace) == [one, other]
    with pytest.raises(NotImplementedError, match="make an Experiment of the new name"):
        one.reactivate("new")
    with pytest.raises(BadInput, match="no view"):
        Experiment.list(workspace, view_type="Some")


def test_runs_by_what_is_asked(home: Path) -> None:
    one = Experiment(Workspace(), "asked")
    place = WorkspaceDir(home, Workspace().name)
    old = Run.at(ended_run(place, experiment="asked", number=1, tags={"stage": "old"}, properties={"p": "1"}))
    new = start(one, tags={"stage": "new"})
    child = new.child_run()
    child.complete()
    start(Experiment(Workspace(), "another"))
    assert list(one.get_runs()) == [new, old], "newest first"
    assert list(one.get_runs(include_children=True))[-1] == old
    assert len(list(one.get_runs(include_children=True))) == 3
    assert list(one.get_runs(tags="stage")) == [new, old]
    assert list(one.get_runs(tags={"stage": "old"})) == list(one.get_runs(properties={"p": "1"})) == [old]
    assert list(one.get_runs(type="azureml.scriptrun")) == [old]
    assert list(Run.list(one, status="Running")) == []
    with pytest.raises(BadInput, match="a name or a dict"):
        one.get_runs(tags=["stage"])


def test_tags_of_ended_runs_are_found(home: Path) -> None:
    one = Experiment(Workspace(), "late")
    run = start(one, tags={"old": "1"})
    client.sync(home)
    run.tag("late", "yes")
    run.remove_tags("old")
    run.display_name = "named late"
    (row,) = listing(one.workspace.folder)
    assert (row.tags, row.display_name) == ({"late": "yes"}, "named late")
    assert find(home, "named late") == run
    assert list(one.get_runs(tags={"late": "yes"})) == [run]
    assert list(one.get_runs(tags="old")) == []


def test_submit_takes_a_config(home: Path, tmp_path: Path) -> None:
    one = Experiment(Workspace(), "submits")
    (tmp_path / "project").mkdir()
    (tmp_path / "project/a.py").write_text("print('here')")
    run = one.submit(ScriptRunConfig(str(tmp_path / "project"), "a.py"), tags={"a": "b"})
    assert run.wait_for_completion().status == "Completed"
    assert (run.tags, list(one.get_runs())) == ({"a": "b"}, [run])
    with pytest.warns(UserWarning, match="without effect here: show_output"), pytest.raises(BadInput):
        one.submit("a.py", show_output=True)
    with pytest.raises(BadInput, match="a str cannot be submitted"):
        one.submit("a.py")
    with pytest.raises(BadInput, match="tags are given as a dict"):
        one.submit(ScriptRunConfig(str(tmp_path / "project"), "a.py"), tags=["a"])
    assert list(one.get_runs()) == [run]


def test_deleting(home: Path) -> None:
    workspace = Workspace()
    one, other = Experiment(workspace, "one"), Experiment(workspace, "other")
    kept = start(other)
    start(one)
    active = one.start_logging(snapshot_directory=None)
    with pytest.raises(Conflict, match="is active"):
        one.delete()
    assert len(list(one.get_runs())) == 2, "nothing was removed"
    active.complete()
    Experiment.delete(workspace, "one")
    assert Experiment.list(workspace) == [other]
    assert list(one.get_runs()) == []
    with pytest.raises(NotFound, match="no experiment 'one'"):
        Experiment.delete(workspace, "one")
    other.delete()
    assert Experiment.list(workspace) == []
    assert not kept.path.exists()
    assert not list((workspace.folder.path / "experiments").iterdir())
    client.sync(home)
    assert check(home) == []


def test_looks(home: Path) -> None:
    one = Experiment(Workspace(), "looks")
    assert repr(one) == "Experiment(Name: looks,\nWorkspace: default)"
    html = one._repr_html_()
    assert ">looks<" in html
    assert os.fspath(home) not in html, "the path is escaped"
    assert one.get_portal_url().startswith("file://")
    assert Experiment.get_docs_url().startswith("https://")
    with pytest.raises(NotImplementedError, match="use Experiment"):
        Experiment.from_directory(".")
