"""The verbs about data, files, models and archives, as people meet them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.store.home import WorkspaceDir
from tests.runs import ended_run, recorded_run
from tests.test_cli import HOSTILE, mlrun


@pytest.fixture
def run(home: Path) -> Run:
    return Run.at(with_files(home))


@pytest.fixture
def here(tmp_path: Path) -> Path:
    path = tmp_path / "here"
    path.mkdir()
    os.chdir(path)
    return path


def with_files(home: Path, **more: Any) -> RunDir:
    place = ended_run(WorkspaceDir(home, "default").make(), content=b"print(1)\n", **more)
    (place.outputs / "model.pt").write_bytes(b"weights")
    (place.outputs / "parts").mkdir()
    (place.outputs / "parts/one.bin").write_bytes(b"1")
    (place.outputs / "parts/two.bin").write_bytes(b"2")
    return place


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def says(*line: str) -> str:
    done = mlrun(*line)
    assert done.returncode == 0, done
    return done.stdout


def refuses(code: int, *line: str) -> str:
    """What it says on standard error: one line and a hint."""
    done = mlrun(*line)
    assert (done.returncode, done.stdout) == (code, ""), done
    assert done.stderr.startswith("jupyter mlrun: ")
    assert "\n  hint: " in done.stderr
    return done.stderr


# ---- models ----------------------------------------------------------------------------------------------


def test_a_model_is_registered_and_listed(home: Path, run: Run) -> None:
    tail = run.id.rpartition("_")[2]
    said = says("register", tail, "./outputs/model.pt", "--name", "digits", "--tag", "stage=test",
                "--description", "it's small", "--framework", "PyTorch")  # fmt: skip
    assert said == f"model digits:1: outputs/model.pt of run {run.id}, 7 B\n"
    assert says("register", "@1", "outputs", "--name", "digits", "-q") == "digits:2\n"
    assert says("register", "@1", "outputs/parts", "--name", "Other", "-q") == "Other:1\n"
    latest = json.loads(says("models", "--json"))
    assert [one["id"] for one in latest] == ["Other:1", "digits:2"]
    both = json.loads(says("models", "digits", "--json"))
    assert [one["version"] for one in both] == [2, 1]
    first = both[1]
    assert (first["tags"], first["description"], first["framework"], first["run_id"]) == (
        {"stage": "test"}, "it's small", "PyTorch", run.id
    )  # fmt: skip
    assert [one["id"] for one in json.loads(says("models", "digits:1", "--json"))] == ["digits:1"]
    assert "stage=test" in says("models", "digits")
    assert "'digits'" in refuses(1, "models", "digit")
    assert json.loads(says("models", "-w", "other", "--json")) == []


def test_what_register_refuses(home: Path, run: Run) -> None:
    assert "outputs/model.pt" in refuses(1, "register", "@1", "outputs/modle.pt", "--name", "digits")
    assert "--name" in refuses(2, "register", "@1", "outputs/model.pt")
    for name in ("../x", "", "a@b"):
        assert "name" in refuses(2, "register", "@1", "outputs/model.pt", "--name", name)
    assert "NAME=VALUE" in refuses(2, "register", "@1", "outputs/model.pt", "--name", "x", "--tag", "nonsense")
    assert "no run" in refuses(1, "register", "@7", "outputs/model.pt", "--name", "x")
    assert says("models") == "no models yet: jupyter mlrun register RUN PATH --name NAME\n"


def test_rm_says_which_models_came_from_the_run(home: Path, run: Run) -> None:
    says("register", "@1", "outputs/model.pt", "--name", "digits")
    run_id = run.id
    said = says("rm", "@1")
    assert said.splitlines() == [f"removed {run_id}", "  a model came from it and stays: digits:1"]
    assert json.loads(says("models", "--json"))[0]["run_id"] == run_id
    with_files(home, number=7)
    assert len(says("rm", "@1").splitlines()) == 1


# ---- files of runs ---------------------------------------------------------------------------------------


def test_files_of_a_run_are_downloaded(here: Path, run: Run) -> None:
    assert says("download", "@1", "outputs/model.pt") == "model.pt\n"
    says("download", "@1", "./outputs/", "outputs/parts/t*.bin", "--to", "a/b")
    assert tree(here) == {
        "model.pt": b"weights", "a/b/outputs/model.pt": b"weights", "a/b/outputs/parts/one.bin": b"1",
        "a/b/outputs/parts/two.bin": b"2", "a/b/two.bin": b"2",
    }  # fmt: skip
    says("download", "@1", "--to", "all")
    whole = tree(here / "all" / run.id)
    assert whole["outputs/model.pt"] == b"weights"
    assert whole["user_logs/std_log.txt"] == b"a line\n"


def test_what_download_refuses(here: Path, run: Run) -> None:
    assert "outputs/model.pt" in refuses(1, "download", "@1", "outputs/model.pt", "outputs/modle.pt")
    assert "outside" in refuses(2, "download", "@1", "../spec.json")
    (run.path / "outputs/parts/model.pt").write_bytes(b"another")
    assert "both" in refuses(2, "download", "@1", "outputs/model.pt", "outputs/parts/model.pt")
    assert tree(here) == {}
    (here / "model.pt").write_bytes(b"mine")
    assert "exists already" in refuses(1, "download", "@1", "outputs/model.pt")
    assert tree(here) == {"model.pt": b"mine"}
    says("download", "@1", "outputs/model.pt", "--overwrite")
    assert tree(here) == {"model.pt": b"weights"}
    assert "no folder" in refuses(1, "download", "@1", "outputs/model.pt", "--to", "model.pt")
    assert "no folder" in refuses(1, "download", "@1", "outputs/model.pt", "--to", "model.pt/x")


def test_the_source_of_a_run_is_restored(here: Path, run: Run) -> None:
    assert says("restore", "@1", "new") == "new: 1 file\n"
    assert tree(here) == {"new/main.py": b"print(1)\n"}
    (here / "empty").mkdir()
    says("restore", "@1", "empty")
    assert "not empty" in refuses(1, "restore", "@1", "new")
    assert "no folder" in refuses(1, "restore", "@1", "new/main.py")
    assert tree(here) == {"new/main.py": b"print(1)\n", "empty/main.py": b"print(1)\n"}
    ended_run(WorkspaceDir(run.home, "default"), number=9)
    assert "no snapshot" in refuses(1, "restore", "@1", "none")


# ---- data ------------------------------------------------------------------------------------------------


def test_data_is_uploaded_once(here: Path, home: Path) -> None:
    assert says("datasets") == "no data sets yet: jupyter mlrun upload-data SRC\n"
    assert not home.exists()
    (here / "digits/train").mkdir(parents=True)
    (here / "digits/train/a.txt").write_bytes(b"a")
    (here / "digits/b.txt").write_bytes(b"bb")
    assert "digits:1" in says("upload-data", "digits")
    assert says("upload-data", "digits", "-q") == "digits:1\n", "again: nothing new"
    (here / "digits/b.txt").write_bytes(b"bbb")
    assert says("upload-data", "digits", "--overwrite", "-q") == "digits:2\n"
    assert says("upload-data", "digits/train", "x/y", "--name", "other", "-q") == "other:1\n"
    listed = json.loads(says("datasets", "--json"))
    assert [(one["name"], one["version"], one["files"], one["bytes"]) for one in listed] == [
        ("digits", 2, 2, 4), ("other", 1, 1, 1)
    ]  # fmt: skip
    assert [one["version"] for one in json.loads(says("datasets", "digits", "--json"))] == [2, 1]
    assert "digits" in says("datasets")
    assert "'digits'" in refuses(1, "datasets", "digit")
    assert "does not exist" in refuses(1, "upload-data", "nothing")
    assert "name" in refuses(2, "upload-data", "digits", "--name", "../x")
    assert "no files" in refuses(2, "upload-data", str(_empty(here)))


def _empty(here: Path) -> Path:
    (here / "empty").mkdir()
    return here / "empty"


# ---- archives --------------------------------------------------------------------------------------------


def test_runs_travel(here: Path, home: Path, run: Run) -> None:
    with_files(home, number=7)
    tail = run.id.rpartition("_")[2]
    assert says("export", tail, "@1", tail, "two.zip").startswith("two.zip: 2 runs, ")
    assert says("export", "--all", "all.zip").startswith("all.zip: 2 runs, ")
    elsewhere = {"JUPYTER_MLRUN_HOME": str(here / "elsewhere")}
    came = mlrun("import", "two.zip", **elsewhere)
    assert came.returncode == 0, came
    assert came.stdout.splitlines()[-1] == "2 runs imported into workspace default"
    assert sorted(row["run_id"] for row in json.loads(mlrun("ps", "--json", **elsewhere).stdout)) == sorted(
        row["run_id"] for row in json.loads(says("ps", "--json"))
    )
    again = json.loads(mlrun("import", "all.zip", "--json", **elsewhere).stdout)
    assert (again["new"], len(again["known"])) == ([], 2)
    assert mlrun("fsck", **elsewhere).returncode == 0
    assert json.loads(mlrun("show", tail, "--json", **elsewhere).stdout)["status"] == "Completed"
    assert mlrun("download", tail, "outputs/model.pt", **elsewhere).returncode == 0


def test_what_export_and_import_refuse(here: Path, home: Path, run: Run) -> None:
    for line in (["export", "x.zip"], ["export"], ["export", "--all", "@1", "x.zip"], ["import"]):
        refuses(2, *line)
    refuses(1, "export", "@9", "x.zip")
    refuses(1, "import", "x.zip")
    (here / "x.zip").write_bytes(b"nonsense")
    said = refuses(1, "export", "@1", "x.zip")
    assert "exists already" in said
    assert "--overwrite" in said
    assert "no archive" in refuses(2, "import", "x.zip")
    says("export", "@1", "x.zip", "--overwrite")
    active = Run.at(recorded_run(WorkspaceDir(home, "default"), number=5))
    assert "NotStarted" in refuses(1, "export", active.id, "y.zip")
    assert sorted(os.listdir(here)) == ["x.zip"]
    assert "has ended" in refuses(1, "export", "--all", "-w", "empty", "z.zip")


# ---- computes ----------------------------------------------------------------------------------------------


def test_computes(home: Path) -> None:
    assert {"local", "cpu-cluster"} <= {one["name"] for one in json.loads(says("compute", "list", "--json"))}
    assert not home.exists()
    says("compute", "add", "mine", "--vm-size", "STANDARD_D3_V2", "--max-nodes", "2")
    listed = {one["name"]: one for one in json.loads(says("compute", "list", "--json"))}
    assert (listed["mine"]["vm_size"], listed["mine"]["max_nodes"]) == ("STANDARD_D3_V2", 2)
    assert json.loads(says("compute", "check", "mine", "--json"))["usable"] is True
    assert "CPU" in says("compute", "check", "local")
    assert "already" in refuses(1, "compute", "add", "mine")
    refuses(2, "compute", "add", "../x")
    refuses(2, "compute", "nonsense")
    assert says("compute", "rm", "mine") == "removed mine\n"
    refuses(1, "compute", "rm", "mine")
    refuses(1, "compute", "check", "mine")


def test_workspaces(home: Path, run: Run) -> None:
    (only,) = json.loads(says("workspace", "list", "--json"))
    assert (only["name"], only["current"], only["runs"]) == ("default", True, 1)
    assert "it is new, the first run makes it; known: default\n" in says("workspace", "use", "second")
    assert "new" not in says("workspace", "use", "default")
    says("workspace", "use", "second")
    says("export", "@1", str(home.parent / "a.zip"))
    assert says("import", str(home.parent / "a.zip")).endswith("1 run imported into workspace second\n")
    listed = {one["name"]: one for one in json.loads(says("workspace", "list", "--json"))}
    assert [listed[name]["current"] for name in ("default", "second")] == [False, True]
    assert "default" in says("workspace", "list")
    assert "--force" in refuses(1, "workspace", "rm", "second")
    says("workspace", "rm", "second", "--force")
    assert [one["name"] for one in json.loads(says("workspace", "list", "--json"))] == ["default"]
    refuses(1, "workspace", "rm", "second")
    refuses(2, "workspace", "use", "../x")
    refuses(2, "workspace", "rm", "../x")


# ---- how it looks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [40, 80])
def test_tables_fit(home: Path, run: Run, columns: int) -> None:
    says("register", "@1", "outputs", "--name", "a model with a long name indeed", "--tag", "stage=production")
    says("register", "@1", "outputs", "--name", "digits")
    for line in (["models"], ["models", "digits"], ["compute", "list"], ["workspace", "list"]):
        drawn = mlrun(*line, COLUMNS=str(columns)).stdout
        assert max(map(len, drawn.splitlines())) <= columns, drawn
        assert "NAME" in drawn
        assert "digits" in drawn or "local" in drawn or "default" in drawn


def test_names_and_tags_do_nothing_to_a_terminal(home: Path, run: Run) -> None:
    says("register", "@1", "outputs", "--name", "digits", "--tag", f"a={HOSTILE}", "--description", HOSTILE)
    drawn = says("models")
    assert not set("\x1b\x07\x9b") & set(drawn)
    assert "[red]name[/]" in drawn
    assert json.loads(says("models", "--json"))[0]["tags"] == {"a": HOSTILE}


def test_help_of_every_verb_is_short(home: Path) -> None:
    shown = says("--help")
    for verb in (
        "upload-data",
        "datasets",
        "download",
        "restore",
        "register",
        "models",
        "export",
        "import",
        "compute",
        "workspace",
    ):
        assert verb in shown
        assert "Usage: jupyter mlrun" in says(verb, "--help")
