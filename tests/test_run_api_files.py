"""The files of a run: uploaded, listed, downloaded; names that lead elsewhere; errors that say what is there."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from jupyter_mlrun import BadInput, Conflict, Experiment, NotFound, Run, Workspace
from tests.support import finish, submit_cell


@pytest.fixture
def run(home: Path, tmp_path: Path) -> Run:
    """An interactive run in a folder of its own."""
    folder = tmp_path / "project"
    folder.mkdir()
    os.chdir(folder)
    return Experiment(Workspace(), "files").start_logging(snapshot_directory=None, outputs=False)


def make(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(f"content of {name}")


def test_uploads(run: Run) -> None:
    make("a.txt", "folder/b.txt", "folder/sub/c.txt")
    assert run.upload_file("outputs/a.txt", "a.txt") == "outputs/a.txt"
    run.upload_file("deep/er/a.txt", path_or_stream="a.txt")
    run.upload_file("stream.bin", io.BytesIO(b"\0\1"))
    run.upload_file("./outputs//text.txt", io.StringIO("здесь"))
    run.upload_folder("logs/of", "folder")
    run.upload_files(["x.txt", "y.txt"], ["a.txt", "folder/b.txt"])
    assert run.get_file_names() == [
        "deep/er/a.txt", "logs/of/b.txt", "logs/of/sub/c.txt", "outputs/a.txt", "outputs/text.txt", "stream.bin",
        "x.txt", "y.txt",
    ]  # fmt: skip
    assert Path(run.download_file("stream.bin")).read_bytes() == b"\0\1"
    assert Path(run.download_file("outputs/text.txt", "new/folder/t.txt")).read_text(encoding="utf-8") == "здесь"
    assert (run.path / "artifacts/x.txt").stat().st_mode & 0o777 == 0o600


def test_an_existing_name_is_overwritten(run: Run) -> None:
    make("a.txt", "b.txt")
    for source in ("a.txt", "b.txt"):
        run.upload_file("model.pt", source)
        run.upload_folder("again", ".")
    assert Path(run.download_file("model.pt", "got")).read_text() == "content of b.txt"
    assert not list(run.path.rglob("*.new"))


@pytest.mark.parametrize(
    "name", ["../a", "/etc/passwd", "a/../../b", "", " ", "a\0b", "\ud800", "x" * 300, "folder/", None, 3]
)
def test_names_that_lead_elsewhere(run: Run, name: object) -> None:
    make("a.txt")
    with pytest.raises(BadInput):
        run.upload_file(name, "a.txt")
    assert run.get_file_names() == []


def test_sources_that_are_not_there(run: Run) -> None:
    make("model.pt", "folder/x")
    with pytest.raises(NotFound, match=r"no file 'modle.pt' in [^\n]*\n[^\n]*did you mean 'model.pt'"):
        run.upload_file("m", "modle.pt")
    with pytest.raises(BadInput, match="is a folder"):
        run.upload_file("m", "folder")
    with pytest.raises(NotFound, match="is a file: upload_file takes it"):
        run.upload_folder("m", "model.pt")
    with pytest.raises(NotFound, match="is not there"):
        run.upload_folder("m", "nowhere")
    with pytest.raises(BadInput, match="2 names for 1 paths"):
        run.upload_files(["a", "b"], ["model.pt"])
    with pytest.raises(NotFound):
        run.upload_files(["a", "b"], ["model.pt", "nowhere"])
    assert run.get_file_names() == [], "all are looked at before the first is copied"


def test_a_pipe_is_no_source(run: Run) -> None:
    """Nobody writes into it, so whoever opened it would wait for good."""
    os.mkfifo("pipe")
    with pytest.raises(BadInput, match="no regular file"):
        run.upload_file("m", "pipe")
    with pytest.raises(BadInput, match="no regular file"):
        run.upload_files(["m"], [b"pipe"])
    assert run.get_file_names() == []


def test_what_nobody_can_copy_is_no_file_of_a_run(run: Run) -> None:
    make("a.txt")
    run.upload_file("outputs/a.txt", "a.txt")
    os.mkfifo(run.path / "outputs/pipe")
    os.symlink("nowhere", run.path / "outputs/link")
    assert run.download_files("outputs", "all") == ["all/outputs/a.txt"]


def test_names_are_as_long_as_the_file_system_takes(run: Run) -> None:
    name = "ж" * 127
    make(name)
    run.upload_file(f"outputs/{name}", name)
    assert Path(run.download_file(f"outputs/{name}", f"again/{name}")).read_text() == f"content of {name}"


def test_a_file_in_the_way_is_a_conflict(run: Run) -> None:
    make("a.txt")
    run.upload_file("x", "a.txt")
    with pytest.raises(Conflict, match="in its way"):
        run.upload_file("x/y", "a.txt")
    assert run.get_file_names() == ["x"]


def test_what_is_missing_is_told_with_what_is_there(run: Run) -> None:
    with pytest.raises(NotFound, match="there are no files"):
        run.download_file("outputs/model.pt")
    make("a.txt")
    run.upload_file("outputs/model.pt", "a.txt")
    with pytest.raises(NotFound, match=r"did you mean 'outputs/model.pt'\? there are: outputs/model.pt"):
        run.download_file("outputs/modle.pt")
    with pytest.raises(NotFound, match="no files that begin with 'weights/'"):
        run.download_files("weights/")
    assert sorted(os.listdir()) == ["a.txt"], "nothing is left where nothing was downloaded"


def test_download_files(run: Run) -> None:
    make("a.txt", "b.txt")
    run.upload_files(["outputs/one/a", "outputs/b", "c"], ["a.txt", "b.txt", "a.txt"])
    assert run.download_files("outputs", "all") == ["all/outputs/b", "all/outputs/one/a"]
    assert run.download_files("./outputs/", "inner", append_prefix=False) == ["inner/b", "inner/one/a"]
    assert run.download_files("outputs/one", output_paths=["mine"]) == ["mine"]
    assert Path("mine").read_text() == Path("inner/one/a").read_text() == "content of a.txt"
    assert len(run.download_files(output_directory="every")) == 3
    with pytest.raises(BadInput, match="2 files need as many output_paths"):
        run.download_files("outputs", output_paths=["one"])
    with pytest.raises(BadInput, match="output_directory or output_paths"):
        run.download_files("outputs", "all", ["x", "y"])


def test_download_to_a_folder(run: Run) -> None:
    make("a.txt", "there/keep")
    run.upload_file("outputs/a.txt", "a.txt")
    assert run.download_file("outputs/a.txt", "there") == "there/a.txt"
    assert run.download_file("outputs/a.txt", "not/yet/") == "not/yet/a.txt"


def test_outputs_of_an_interactive_run_are_kept(home: Path, tmp_path: Path) -> None:
    os.chdir(tmp_path)
    make("outputs/old.txt")
    os.utime("outputs/old.txt", (1, 1))
    run = Experiment(Workspace(), "files").start_logging(snapshot_directory=None)
    make("outputs/new/model.pt")
    assert run.get_file_names() == ["outputs/new/model.pt"], "only what came since the start"
    Path("outputs/new/model.pt").write_text("better")
    other = tmp_path / "elsewhere"
    other.mkdir()
    os.chdir(other)
    run.complete()
    assert Path(run.download_file("outputs/new/model.pt")).read_text() == "better"


def test_a_child_keeps_only_the_folder_that_is_named(home: Path, tmp_path: Path) -> None:
    os.chdir(tmp_path)
    parent = Experiment(Workspace(), "files").start_logging(snapshot_directory=None, outputs=False)
    plain, named = parent.child_run("plain"), parent.child_run("named", outputs="mine")
    make("outputs/a", "mine/b")
    for run in (plain, named, parent):
        run.complete()
    assert (plain.get_file_names(), named.get_file_names(), parent.get_file_names()) == ([], ["outputs/b"], [])


def test_logs_of_a_submitted_run(home: Path, tmp_path: Path) -> None:
    os.chdir(tmp_path)
    run = submit_cell("print('hello')\nopen('logs/events.bin', 'wb').write(b'\\xff')")
    finish(run)
    names = ["azureml-logs/70_driver_log.txt", "logs/events.bin", "user_logs/std_log.txt"]
    assert run.get_file_names() == names
    assert run.get_all_logs("copies") == [f"copies/{name}" for name in names]
    assert Path("copies/user_logs/std_log.txt").read_text() == "hello\n"
    details = run.get_details_with_logs()
    assert details.logFiles["user_logs/std_log.txt"] == "hello\n"
    with pytest.raises(Conflict, match="written by the run itself"):
        run.upload_file("user_logs/std_log.txt", io.BytesIO(b"forged"))


def test_register_model_names_what_is_there(run: Run) -> None:
    make("m.pt")
    run.upload_file("outputs/m.pt", "m.pt")
    with pytest.raises(NotFound, match=r"outputs/m\.pt"):
        run.register_model("m", "outputs/nothing.pt")
    model = run.register_model("m", model_path="./outputs/m.pt", tags={"a": "b"})
    assert (model.id, model.run_id, model.tags) == ("m:1", run.id, {"a": "b"})
