"""Models: what is registered is the registry's own, named, versioned and found again."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from jupyter_mlrun import upkeep
from jupyter_mlrun.errors import BadInput, Conflict, NotFound
from jupyter_mlrun.sdk.model import Model, register_from_run
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.sdk.workspace import Workspace
from tests.runs import ended_run


@pytest.fixture
def workspace(home: Path) -> Workspace:
    found = Workspace("default", home=home)
    found.folder.make()
    return found


@pytest.fixture
def run(workspace: Workspace) -> Run:
    place = ended_run(workspace.folder)
    (place.outputs / "model.pt").write_bytes(b"weights")
    (place.outputs / "parts/deep").mkdir(parents=True)
    (place.outputs / "parts/one.bin").write_bytes(b"1")
    (place.outputs / "parts/deep/two.bin").write_bytes(b"22")
    return Run.at(place)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    path = tmp_path / "here"
    path.mkdir()
    os.chdir(path)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---- from a run ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["outputs/model.pt", "./outputs/model.pt", "outputs//model.pt", "outputs/./model.pt"])
def test_a_file_of_a_run(workspace: Workspace, run: Run, here: Path, path: str) -> None:
    model = register_from_run(run, "digits", path, tags={"stage": "test"}, properties={"a": 1}, description="small")
    assert (model.name, model.version, model.id, model.path) == ("digits", 1, "digits:1", "outputs/model.pt")
    assert (model.tags, model.properties, model.description) == ({"stage": "test"}, {"a": "1"}, "small")
    assert (model.run_id, model.experiment_name, model.size_in_bytes) == (run.id, "exp", 7)
    assert model.run == run
    assert model.download() == "model.pt"
    assert (here / "model.pt").read_bytes() == b"weights"


@pytest.mark.parametrize("path", ["outputs", "outputs/", "./outputs/", "outputs//"])
def test_a_folder_of_a_run(run: Run, here: Path, path: str) -> None:
    model = register_from_run(run, "digits", path)
    assert model.path == "outputs"
    assert model.download("there") == "there/outputs"
    assert tree(here / "there/outputs") == {
        "model.pt": b"weights", "parts/one.bin": b"1", "parts/deep/two.bin": b"22"
    }  # fmt: skip


def test_a_pattern_of_a_run(run: Run, here: Path) -> None:
    one = register_from_run(run, "digits", "outputs/parts/*.bin")
    assert Path(one.download()).read_bytes() == b"1"
    both = register_from_run(run, "digits", "outputs/parts/**")
    assert tree(Path(both.download())) == {"one.bin": b"1", "deep/two.bin": b"22"}


def test_the_path_is_the_name_where_none_is_given(run: Run, here: Path) -> None:
    (run.directory.artifacts / "sub").mkdir(parents=True)
    (run.directory.artifacts / "digits.onnx").write_bytes(b"onnx")
    (run.directory.artifacts / "sub/more.txt").write_bytes(b"more")
    assert Path(register_from_run(run, "digits.onnx").download()).read_bytes() == b"onnx"
    assert tree(Path(register_from_run(run, "sub").download())) == {"more.txt": b"more"}


def test_a_path_that_is_not_there_lists_the_files(run: Run) -> None:
    for path in ("outputs/modle.pt", "model.pt", "outputs/nothing/", "outputs/*.onnx", ""):
        with pytest.raises(NotFound) as caught:
            register_from_run(run, "digits", path)
        assert "outputs/model.pt" in str(caught.value)
    assert not Model.list(run.experiment.workspace)


@pytest.mark.parametrize("path", ["../outputs", "outputs/../../x", "/etc/passwd", "\0"])
def test_a_path_that_leads_out_is_refused(run: Run, path: str) -> None:
    with pytest.raises(BadInput):
        register_from_run(run, "digits", path)


def test_links_of_a_run(run: Run, here: Path, tmp_path: Path) -> None:
    (run.path / "outputs/latest.pt").symlink_to("model.pt")
    (run.path / "outputs/parts/up.pt").symlink_to("../model.pt")
    folder = Path(register_from_run(run, "all", "outputs").download())
    assert os.readlink(folder / "latest.pt") == "model.pt"
    # a link that leads out of the part that is registered, but not out of the run, is its content
    alone = Path(register_from_run(run, "part", "outputs/parts").download())
    assert not (alone / "up.pt").is_symlink()
    assert (alone / "up.pt").read_bytes() == b"weights"
    (tmp_path / "secret").write_bytes(b"secret")
    (run.path / "outputs/out.pt").symlink_to(tmp_path / "secret")
    for path in ("outputs", "outputs/out.pt", "outputs/*.pt"):
        with pytest.raises(BadInput, match=r"leads out|no file"):
            register_from_run(run, "bad", path)


def test_what_is_no_file_is_refused(run: Run) -> None:
    os.mkfifo(run.path / "outputs/pipe")
    with pytest.raises(BadInput, match="pipe"):
        register_from_run(run, "bad", "outputs")


# ---- from here -----------------------------------------------------------------------------------------


def test_a_local_file_and_a_local_folder(workspace: Workspace, here: Path) -> None:
    (here / "net").mkdir()
    (here / "net/a").write_bytes(b"a")
    (here / "net/b").write_bytes(b"b")
    one = Model.register(workspace, "net/a", "one", model_framework=Model.Framework.PYTORCH)
    assert (one.run_id, one.run, one.model_framework, one.path) == (None, None, "PyTorch", "net/a")
    both = Model.register(workspace, here / "net", "both")
    assert tree(Path(both.download("to"))) == {"a": b"a", "b": b"b"}
    part = Model.register(workspace, "net", "part", child_paths=["b"])
    assert tree(Path(part.download("part"))) == {"b": b"b"}
    with pytest.raises(NotFound, match="net/c"):
        Model.register(workspace, "net/c", "none")
    with pytest.raises(NotFound, match="'z'"):
        Model.register(workspace, "net", "none", child_paths=["z"])
    (here / "empty").mkdir()
    with pytest.raises(NotFound, match="no files"):
        Model.register(workspace, "empty", "none")
    assert {model.name for model in Model.list(workspace)} == {"one", "both", "part"}


# ---- names and versions ----------------------------------------------------------------------------------

BAD = ["", "../x", "a/b", "a@b", ".", "..", ".x", "x.", " x", "x ", "CON", "nul.txt", "latest", "x" * 1024, "a\0b",
       "a\nb", "-x", "a:1", "*"]  # fmt: skip
GOOD = ["x", "my model", "v1.2-b_c", "Vögel", "鳥", "x" * 200, "v01", "1"]


@pytest.mark.parametrize("name", BAD, ids=range(len(BAD)))
def test_names_that_are_refused(workspace: Workspace, run: Run, here: Path, name: str) -> None:
    (here / "f").write_bytes(b"f")
    with pytest.raises(BadInput, match="name"):
        Model.register(workspace, "f", name)
    with pytest.raises(BadInput, match="name"):
        register_from_run(run, name, "outputs/model.pt")
    assert not (workspace.folder.path / "models").exists()


@pytest.mark.parametrize("name", GOOD, ids=range(len(GOOD)))
def test_names_that_are_taken(workspace: Workspace, here: Path, name: str) -> None:
    (here / "f").write_bytes(b"f")
    assert Model.register(workspace, "f", name).id == f"{name}:1"
    assert Model(workspace, name).name == name
    assert Model(workspace, id=f"{name}:1").version == 1


def test_a_name_that_differs_only_in_case_is_refused(workspace: Workspace, here: Path) -> None:
    (here / "f").write_bytes(b"f")
    Model.register(workspace, "f", "Birds")
    for name in ("birds", "BIRDS"):
        with pytest.raises(Conflict, match="'Birds' already"):
            Model.register(workspace, "f", name)


def test_many_registrations_at_once_get_a_version_each(workspace: Workspace, here: Path) -> None:
    threads, each = 4, 5
    barrier = threading.Barrier(threads)
    found: list[int] = []
    for number in range(threads):
        (here / f"f{number}").write_bytes(b"f%d" % number)

    def work(number: int) -> None:
        barrier.wait()
        found.extend(Model.register(workspace, here / f"f{number}", "race").version for _ in range(each))

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(found) == list(range(1, threads * each + 1))
    assert sorted(model.version for model in Model.list(workspace, "race")) == sorted(found)


def test_a_number_is_never_given_out_again(workspace: Workspace, here: Path) -> None:
    (here / "f").write_bytes(b"f")
    Model.register(workspace, "f", "m")
    Model.register(workspace, "f", "m").delete()
    assert Model.register(workspace, "f", "m").version == 3
    with pytest.raises(NotFound, match="no version 2"):
        Model(workspace, "m", version=2)


# ---- finding ---------------------------------------------------------------------------------------------


def test_which_model_is_meant(workspace: Workspace, run: Run, here: Path) -> None:
    (here / "f").write_bytes(b"f")
    Model.register(workspace, "f", "m", tags={"stage": "old", "by": "me"})
    Model.register(workspace, "f", "m", tags={"stage": "new"}, model_framework="PyTorch")
    register_from_run(run, "other", "outputs", properties={"acc": 0.9})
    assert Model(workspace, "m").version == 2
    assert Model(workspace, "m", version=1).version == 1
    assert Model(workspace, "m", version="1").version == 1
    assert Model(workspace, id="m:1").version == 1
    assert Model(workspace, "m", tags={"stage": "old"}).version == 1
    assert Model(workspace, "m", tags=["by"]).version == 1
    assert Model(workspace, run_id=run.id).name == "other"
    for wrong in ({"name": "mm"}, {"name": "m", "version": 7}, {"name": "m", "tags": {"stage": "x"}}, {"id": "m:9"}):
        with pytest.raises(NotFound):
            Model(workspace, **wrong)
    with pytest.raises(BadInput, match="which model"):
        Model(workspace)

    def ids(**wanted: object) -> list[str]:
        return [model.id for model in Model.list(workspace, **wanted)]  # type: ignore[arg-type]

    assert ids() == ["other:1", "m:2", "m:1"]
    assert ids(latest=True) == ["other:1", "m:2"]
    assert ids(name="m", latest=True) == ["m:2"]
    assert ids(name="none") == []
    assert ids(tags=["stage"]) == ["m:2", "m:1"]
    assert ids(tags=[["stage", "old"]]) == ["m:1"]
    assert ids(tags=[("stage", "old")], latest=True) == ["m:1"]
    assert ids(properties=[["acc", "0.9"]]) == ["other:1"]
    assert ids(run_id=run.id) == ["other:1"]
    assert ids(model_framework="PyTorch") == ["m:2"]


def test_what_is_said_of_it(workspace: Workspace, here: Path) -> None:
    (here / "f").write_bytes(b"f")
    model = Model.register(workspace, "f", "m", tags={"a": "1", "b": "2"}, properties={"p": "1"})
    model.add_tags({"c": 3, "a": "new"})
    model.remove_tags("b")
    model.add_properties({"q": "2"})
    with pytest.raises(Conflict, match="'p' is '1'"):
        model.add_properties({"p": "9"})
    again = Model(workspace, "m")
    assert again.tags == model.tags == {"a": "new", "c": "3"}
    assert again.properties == {"p": "1", "q": "2"}
    again.update(tags={"only": "this"}, description="words")
    assert (Model(workspace, "m").tags, Model(workspace, "m").description) == ({"only": "this"}, "words")
    again.update(description="")
    assert Model(workspace, "m").description == ""
    payload = again.serialize()
    assert Model.deserialize(workspace, payload).id == "m:1"
    assert payload["createdTime"].endswith("+00:00")


# ---- its files ---------------------------------------------------------------------------------------------


def test_what_is_there_is_not_replaced_unasked(workspace: Workspace, here: Path) -> None:
    (here / "f").write_bytes(b"new")
    model = Model.register(workspace, "f", "m")
    (here / "f").write_bytes(b"mine")
    with pytest.raises(Conflict, match="exists already"):
        model.download()
    assert (here / "f").read_bytes() == b"mine"
    model.download(exist_ok=True)
    assert (here / "f").read_bytes() == b"new"


def test_a_path_of_the_model(workspace: Workspace, run: Run, here: Path) -> None:
    register_from_run(run, "m", "outputs/model.pt")
    path = Path(Model.get_model_path("m", _workspace=workspace))
    assert path == Path("azureml-models/m/1/model.pt")
    assert path.read_bytes() == b"weights"
    register_from_run(run, "m", "outputs/parts/one.bin")
    assert Model.get_model_path("m", _workspace=workspace) == "azureml-models/m/2/one.bin"
    assert Model.get_model_path("m", version=1, _workspace=workspace) == str(path)
    with pytest.raises(NotFound, match="'n'"):
        Model.get_model_path("n", _workspace=workspace)
    (here / "n").mkdir()
    assert Model.get_model_path("n", _workspace=workspace) == "n"
    assert Model.get_model_path("m") == "azureml-models/m/2/one.bin", "the default workspace"


def test_a_path_of_a_version_that_is_none(workspace: Workspace, run: Run, here: Path) -> None:
    register_from_run(run, "m", "outputs/model.pt")
    Model.get_model_path("m", _workspace=workspace)
    for version in ("2", "v01", "\u0661", "", -1):
        with pytest.raises(NotFound, match="no version"):
            Model.get_model_path("m", version=version, _workspace=workspace)
    with pytest.raises(NotFound, match="no model"):
        Model.get_model_path("x" * 300, _workspace=workspace)


def test_a_path_that_is_too_long_is_not_there(workspace: Workspace, here: Path) -> None:
    with pytest.raises(NotFound, match="does not exist"):
        Model.register(workspace, "x" * 300, "m")


def test_a_name_as_long_as_the_file_system_takes(workspace: Workspace, here: Path) -> None:
    name = "ж" * 127
    (here / name).write_bytes(b"weights")
    assert Path(Model.register(workspace, name, "m").download("a")).read_bytes() == b"weights"


def test_a_cache_of_another_home_is_not_believed(workspace: Workspace, run: Run, here: Path) -> None:
    register_from_run(run, "m", "outputs/model.pt")
    Model.get_model_path("m", _workspace=workspace)
    (here / "f").write_bytes(b"other")
    other = Workspace("other", home=workspace.home)
    Model.register(other, "f", "m")
    assert Path(Model.get_model_path("m", _workspace=other)).read_bytes() == b"other"


def test_the_model_outlives_its_run(workspace: Workspace, run: Run, here: Path) -> None:
    model = register_from_run(run, "m", "outputs")
    (run.path / "outputs/model.pt").write_bytes(b"changed")
    shutil.rmtree(run.path / "outputs/parts")
    assert tree(Path(model.download("a")))["model.pt"] == b"weights"
    run.delete()
    upkeep.gc(workspace.home, grace=-1)
    again = Model(workspace, "m")
    assert tree(Path(again.download("b"))) == tree(Path("a/outputs"))
    assert not upkeep.problems(workspace.home)
    with pytest.raises(NotFound, match="no run"):
        assert again.run
    again.delete()
    upkeep.gc(workspace.home, grace=-1)
    assert not list(workspace.folder.objects.glob("manifests/*.json")), "a removed model's content goes"


# ---- what is not here ----------------------------------------------------------------------------------------


def test_what_is_out_of_scope_says_what_to_use(workspace: Workspace, here: Path) -> None:
    (here / "f").write_bytes(b"f")
    model = Model.register(workspace, "f", "m")
    for name in ("deploy", "package", "profile", "print_configuration"):
        with pytest.raises(NotImplementedError, match="use"):
            getattr(Model, name)(workspace, "x", [model])
    with pytest.raises(NotImplementedError, match="use"):
        model.get_sas_urls()
