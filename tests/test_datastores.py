"""Datastores: what is uploaded lies there, is downloaded again, and is named by references."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlrun.errors import BadInput, Conflict, NotFound, SnapshotError, StoreError
from jupyter_mlrun.sdk import data
from jupyter_mlrun.sdk.data import DataPath, DataReference, Datastore
from jupyter_mlrun.sdk.workspace import Workspace
from jupyter_mlrun.store.packs import ObjectStore
from tests.datasets import content, folder_of, write

Out = pytest.CaptureFixture[str]


@pytest.fixture
def workspace(home: Path) -> Workspace:
    return Workspace("default", home=home)


@pytest.fixture
def store(workspace: Workspace) -> Datastore:
    return Datastore(workspace)


def there(store: Datastore, place: Path) -> dict[str, str]:
    """Everything on a datastore."""
    store.download(str(place), show_progress=False)
    return content(place)


# ---- which there are -----------------------------------------------------------------------------------------


def test_the_default_datastore(workspace: Workspace) -> None:
    found = Datastore(workspace)
    assert found.name == "workspaceblobstore"
    assert Datastore.get_default(workspace).name == Datastore.get(workspace, "workspaceblobstore").name == found.name
    assert data.default_datastore(workspace).name == found.name
    assert list(data.datastores(workspace)) == ["workspaceblobstore"]
    # notebooks print these
    assert all(isinstance(text, str) for text in (found.datastore_type, found.account_name, found.container_name))
    assert "workspaceblobstore" in repr(found)
    assert not found.is_sas
    assert not workspace.home.exists(), "looking makes nothing"


def test_another_datastore_as_the_default(workspace: Workspace, tmp_path: Path) -> None:
    made = Datastore.register_local(workspace, "second")
    assert list(data.datastores(workspace)) == ["second", "workspaceblobstore"]
    assert Datastore(workspace).name == "workspaceblobstore"
    made.set_as_default()
    assert Datastore(workspace).name == "second"
    Datastore(workspace).upload(folder_of(tmp_path / "a", x_txt="1"), "a", show_progress=False)
    assert there(made, tmp_path / "out") == {"a/x.txt": "1"}
    data.set_default_datastore(workspace, "workspaceblobstore")
    assert Datastore(workspace).name == "workspaceblobstore"
    with pytest.raises(Conflict, match="second"):
        Datastore.register_local(workspace, "second")
    for name in ("nowhere", "../second", ""):
        with pytest.raises((NotFound, BadInput)):
            data.set_default_datastore(workspace, name)
    assert Datastore(workspace).name == "workspaceblobstore"


def test_an_unregistered_datastore_is_gone_with_what_lay_there(workspace: Workspace, tmp_path: Path) -> None:
    made = Datastore.register_local(workspace, "second")
    made.set_as_default()
    source = folder_of(tmp_path / "a", x_txt="1")
    made.upload(source, "a", show_progress=False)
    made.unregister()
    assert list(data.datastores(workspace)) == ["workspaceblobstore"]
    assert Datastore(workspace).name == "workspaceblobstore", "the default is one that there is"
    with pytest.raises(NotFound, match="second"):
        Datastore(workspace, "second")
    with pytest.raises(NotFound, match="unregistered"):
        made.upload(source, "a")
    with pytest.raises(NotFound, match="unregistered"):
        made.upload_files([str(source / "x.txt")])
    with pytest.raises(NotFound):
        made.unregister()
    again = Datastore.register_local(workspace, "second")
    with pytest.raises(NotFound, match="nothing lies"):
        again.download(str(tmp_path / "out"))
    with pytest.raises(Conflict, match="stays"):
        Datastore(workspace).unregister()


def test_a_missing_datastore_is_named(workspace: Workspace) -> None:
    with pytest.raises(NotFound) as caught:
        Datastore(workspace, "workspaceblobstor")
    assert caught.value.hint == "did you mean 'workspaceblobstore'?"


@pytest.mark.parametrize("name", ["../up", "a/b", "", "latest", "CON", "a\n", "x.json", "x" * 1024])
def test_names_that_no_datastore_can_have(workspace: Workspace, name: str) -> None:
    with pytest.raises(BadInput):
        Datastore.register_local(workspace, name)
    assert not workspace.home.exists()


def test_a_damaged_choice_is_named(workspace: Workspace) -> None:
    workspace.folder.make()
    path = workspace.folder.path / "datastore.json"
    for text in ("{", "[]", "3"):
        path.write_text(text)
        if text != "[]":
            with pytest.raises(StoreError, match="damaged"):
                Datastore(workspace)
    path.write_text(json.dumps({"default": "gone"}))
    assert Datastore(workspace).name == "workspaceblobstore"


# ---- uploading -----------------------------------------------------------------------------------------------


def test_a_folder_is_uploaded_and_comes_back(store: Datastore, tmp_path: Path) -> None:
    files = {"a.txt": "1", "b/c.txt": "2", "b/d/e.txt": "", "ü/ö ä.txt": "3", ".hidden": "4", "b/.git/x": "5"}
    made = store.upload(write(tmp_path / "src", files), "data/set", show_progress=False)
    assert there(store, tmp_path / "out") == {f"data/set/{name}": text for name, text in files.items()}
    assert (made.datastore.name, made.path_on_datastore, made.mode) == ("workspaceblobstore", "data/set", "mount")


def test_what_it_says(store: Datastore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Out) -> None:
    monkeypatch.chdir(folder_of(tmp_path / "here", data__a_txt="1", data__b_txt="2").resolve())
    store.upload("./data", "x")
    lines = capsys.readouterr().out.splitlines()
    assert {"Uploading ./data/a.txt", "Uploading ./data/b.txt", "Uploaded 2 files"} < set(lines)
    assert any(line.endswith(", 2 files out of an estimated total of 2") for line in lines)
    store.upload("./data", "x")
    assert capsys.readouterr().out.endswith("Uploaded 0 files, 2 were there already\n")
    Path("data/a.txt").write_text("changed")
    store.upload("./data", "x")
    out = capsys.readouterr().out
    assert "Target already exists. Skipping upload for x/a.txt\n" in out
    assert "overwrite=True" in out
    store.upload_files(["data/a.txt"], target_path="x", overwrite=True)
    assert "Uploaded data/a.txt, 1 files out of an estimated total of 1" in capsys.readouterr().out
    store.download("out", prefix="x")
    assert "Downloaded out/x/b.txt, 2 files out of an estimated total of 2" in capsys.readouterr().out
    store.download("out")
    assert capsys.readouterr().out.count("Target already exists. Skipping download for out/x/") == 2
    store.upload("./data", "y", show_progress=False)
    store.upload_files(["data/a.txt"], target_path="y", show_progress=False)
    store.download("out2", show_progress=False)
    assert capsys.readouterr().out == ""


def test_of_many_files_not_every_line_is_said(store: Datastore, tmp_path: Path, capsys: Out) -> None:
    store.upload(write(tmp_path / "many", {f"{n:04d}": str(n) for n in range(1200)}), "many")
    lines = capsys.readouterr().out.splitlines()
    assert 300 < len(lines) < 1100
    assert any("1200 files out of an estimated total of 1200" in line for line in lines)
    store.download(str(tmp_path / "out"))
    assert 300 < len(capsys.readouterr().out.splitlines()) < 600


def test_overwriting(store: Datastore, tmp_path: Path) -> None:
    source = folder_of(tmp_path / "src", a="1", b="1")
    store.upload(source, "x", show_progress=False)
    write(source, {"a": "2", "c": "2"})
    store.upload(source, "x", show_progress=False)
    assert there(store, tmp_path / "1") == {"x/a": "1", "x/b": "1", "x/c": "2"}, "what is there stays"
    store.upload(source, "x", overwrite=True, show_progress=False)
    assert there(store, tmp_path / "2") == {"x/a": "2", "x/b": "1", "x/c": "2"}


def test_a_file_where_a_folder_was(store: Datastore, tmp_path: Path) -> None:
    store.upload(folder_of(tmp_path / "first", a="1", b__c="1"), "x", show_progress=False)
    for name, files in (("second", {"a/d": "2"}), ("third", {"b": "2"})):
        for overwrite in (False, True):
            with pytest.raises(BadInput, match=r"is a (file|folder) there"):
                store.upload(write(tmp_path / name, files), "x", overwrite=overwrite, show_progress=False)
    assert there(store, tmp_path / "out") == {"x/a": "1", "x/b/c": "1"}


def test_the_root_of_a_datastore(store: Datastore, tmp_path: Path) -> None:
    made = store.upload(folder_of(tmp_path / "src", a="1"), show_progress=False)
    assert made.path_on_datastore is None
    assert str(made) == "$AZUREML_DATAREFERENCE_workspaceblobstore"
    store.upload(tmp_path / "src", "/", show_progress=False)
    assert there(store, tmp_path / "out") == {"a": "1"}


def test_single_files(store: Datastore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a root they keep what tells them apart, as the reference does."""
    base = folder_of(tmp_path / "src", train__a_csv="1", val__a_csv="2", b_csv="3")
    monkeypatch.chdir(base)
    store.upload_files(["./train/a.csv"], target_path="one", show_progress=False)
    store.upload_files(["train/a.csv", str(base / "val/a.csv")], target_path="two", show_progress=False)
    store.upload_files(["train/a.csv", "b.csv"], relative_root=str(tmp_path), target_path="3", show_progress=False)
    store.upload_files([Path("train/../b.csv"), "b.csv"], show_progress=False)
    assert there(store, tmp_path / "out") == {
        "one/a.csv": "1",
        "two/train/a.csv": "1",
        "two/val/a.csv": "2",
        "3/src/train/a.csv": "1",
        "3/src/b.csv": "3",
        "b.csv": "3",
    }


def test_many_single_files_are_one_upload(store: Datastore, workspace: Workspace, tmp_path: Path) -> None:
    write(tmp_path / "src", {f"{n}": str(n) for n in range(300)})
    store.upload_files([str(tmp_path / f"src/{n}") for n in range(300)], target_path="x", show_progress=False)
    assert len(there(store, tmp_path / "out")) == 300
    assert len(list(ObjectStore(workspace.folder.objects).packs.glob("*.pack"))) == 1


@pytest.mark.parametrize(
    ("files", "root", "error"),
    [
        ([], None, "no list"),
        ("a.csv", None, "no list"),
        (["a.csv", "gone.csv"], None, "'gone.csv' does not exist"),
        (["."], None, "is a folder"),
        (["a.csv"], "other", "is not below 'other'"),
        (["a.csv"], "a.cs", "is not below"),
    ],
)
def test_single_files_that_are_none(
    store: Datastore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: Any, root: str | None, error: str
) -> None:
    monkeypatch.chdir(folder_of(tmp_path / "src", a_csv="1"))
    with pytest.raises((BadInput, NotFound), match=error) as caught:
        store.upload_files(files, relative_root=root)
    assert caught.value.hint
    assert not store.workspace.home.exists(), "nothing is written for what cannot be"


@pytest.mark.parametrize("target", ["..", "a/../../b", "a/..", "a\0b", "x" * 300, 3])
def test_targets_that_lead_outside(store: Datastore, tmp_path: Path, target: Any) -> None:
    source = folder_of(tmp_path / "src", a_csv="1")
    uses: list[Callable[[], Any]] = [
        lambda: store.upload(source, target),
        lambda: store.upload_files([str(source / "a.csv")], target_path=target),
        lambda: store.download(str(tmp_path), prefix=target),
        lambda: store.path(target),
        lambda: DataReference(store, path_on_datastore=target),
        lambda: DataPath(store, target),
    ]
    for use in uses:
        with pytest.raises(BadInput):
            use()
    assert not store.workspace.home.exists()


def test_folders_that_are_none(store: Datastore, tmp_path: Path) -> None:
    folder_of(tmp_path / "src", a_csv="1")
    (tmp_path / "empty/inner").mkdir(parents=True)
    wrong = {"src/a.csv": "is a file", "src/b": "does not exist", "empty": "no files"}
    for name, error in wrong.items():
        with pytest.raises((BadInput, NotFound), match=error) as caught:
            store.upload(tmp_path / name, "x")
        assert caught.value.hint
    with pytest.raises(NotFound, match="nothing lies"):
        store.download(str(tmp_path / "out"))


def test_what_is_left_out_is_named(store: Datastore, tmp_path: Path, capsys: Out) -> None:
    source = folder_of(tmp_path / "src", a="1")
    os.mkfifo(source / "pipe")
    (source / "lost").symlink_to("nowhere")
    store.upload(source, "x")
    out = capsys.readouterr().out
    assert "left out: pipe (a FIFO)" in out
    assert "left out: lost (a link that leads nowhere)" in out
    assert there(store, tmp_path / "out") == {"x/a": "1"}


def test_links_are_followed(store: Datastore, tmp_path: Path) -> None:
    source = folder_of(tmp_path / "src", a="1")
    (source / "link").symlink_to(folder_of(tmp_path / "else", b="2"))
    store.upload(source, "x", show_progress=False)
    (tmp_path / "single").symlink_to(source / "a")
    store.upload_files([str(tmp_path / "single")], show_progress=False)
    assert there(store, tmp_path / "out") == {"x/a": "1", "x/link/b": "2", "single": "1"}
    assert not (tmp_path / "out/single").is_symlink()


def test_an_upload_that_fails_says_how_to_go_on(
    store: Datastore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Out
) -> None:
    from jupyter_mlrun.store import snapshot

    def fail(*_args: Any, **_options: Any) -> None:
        raise problem

    source = folder_of(tmp_path / "src", a="1")
    monkeypatch.setattr(snapshot, "take_data", fail)
    errors = (
        (StoreError("full"), "stopped"), (SnapshotError("moves"), "stopped"), (KeyboardInterrupt(), "was interrupted"),
        (BadInput("no"), None),
    )  # fmt: skip
    for problem, said in errors:
        with pytest.raises(type(problem)):
            store.upload(source, "x")
        expected = f"The upload {said}. What is stored stays: run it again, and it goes on where it stopped.\n"
        assert capsys.readouterr().err == ("" if said is None else expected)


# ---- downloading ---------------------------------------------------------------------------------------------


def test_a_part_is_downloaded(store: Datastore, tmp_path: Path) -> None:
    store.upload(folder_of(tmp_path / "src", a="1", b__c="2", bb="3"), "x", show_progress=False)
    assert store.download(str(tmp_path / "1"), prefix="x/b", show_progress=False) == 1
    assert content(tmp_path / "1") == {"x/b/c": "2"}
    assert store.download(str(tmp_path / "2"), prefix="/x/a", show_progress=False) == 1
    assert content(tmp_path / "2") == {"x/a": "1"}
    with pytest.raises(NotFound) as caught:
        store.download(str(tmp_path / "3"), prefix="x/aa")
    assert caught.value.hint == "did you mean 'x/a'?"
    assert not (tmp_path / "3").exists()


def test_what_is_there_stays_unless_it_may_be_replaced(store: Datastore, tmp_path: Path) -> None:
    store.upload(folder_of(tmp_path / "src", a="1", b="1"), "", show_progress=False)
    out = folder_of(tmp_path / "out", a="mine", c="mine")
    assert store.download(str(out), show_progress=False) == 1
    assert content(out) == {"a": "mine", "b": "1", "c": "mine"}
    assert store.download(str(out), overwrite=True, show_progress=False) == 2
    assert content(out) == {"a": "1", "b": "1", "c": "mine"}


def test_what_is_in_the_way_is_named(store: Datastore, tmp_path: Path) -> None:
    store.upload(folder_of(tmp_path / "src", a="1", b__c="1"), "x", show_progress=False)
    for files in ({"x/a/mine": ""}, {"x/b": "mine"}, {"x": "mine"}):
        out = write(tmp_path / f"out{len(str(files))}", files)
        for overwrite in (False, True):
            with pytest.raises(Conflict, match="folder") as caught:
                store.download(str(out), overwrite=overwrite, show_progress=False)
            assert caught.value.hint
        assert content(out) == files, "nothing was written"
    (tmp_path / "file").write_text("")
    with pytest.raises(Conflict, match="is no folder"):
        store.download(str(tmp_path / "file"))


def test_programs_can_be_started_again(store: Datastore, tmp_path: Path) -> None:
    source = folder_of(tmp_path / "src", run_sh="#!/bin/sh\n", a="1")
    (source / "run.sh").chmod(0o755)
    store.upload(source, "", show_progress=False)
    store.download(str(tmp_path / "out"), show_progress=False)
    assert os.access(tmp_path / "out/run.sh", os.X_OK)
    assert (tmp_path / "out/a").stat().st_mode & 0o111 == 0


def test_a_full_disk_is_said(store: Datastore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jupyter_mlrun.sdk import copies

    store.upload(folder_of(tmp_path / "src", a="1", b="2"), "", show_progress=False)

    def full(*_args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(copies, "write_all", full)
    with pytest.raises(StoreError, match="No space left") as caught:
        store.download(str(tmp_path / "out"), show_progress=False)
    assert caught.value.hint
    assert content(tmp_path / "out") == {}, "no file is there in part"


# ---- references ----------------------------------------------------------------------------------------------


def test_references(store: Datastore) -> None:
    plain = store.path("data/images")
    assert (plain.mode, plain.path_on_datastore, plain.path_on_compute) == ("mount", "data/images", None)
    assert str(plain) == f"$AZUREML_DATAREFERENCE_{plain.data_reference_name}"
    assert plain.data_reference_name == store.path("/data/images/").data_reference_name
    assert plain.data_reference_name != store.path("data/image").data_reference_name
    copied = store.path("data", "mine").as_download(path_on_compute="here", overwrite=True)
    assert (copied.mode, copied.path_on_compute, copied.overwrite) == ("download", "here", True)
    assert str(copied) == str(copied.as_mount()) == "$AZUREML_DATAREFERENCE_mine"
    assert copied.as_mount().mode == "mount"
    assert copied.to_config() is copied
    assert store.as_mount().path_on_datastore is None
    assert store.as_download("x").path_on_compute == "x"
    assert "data/images" in repr(plain)


def test_references_further_down(store: Datastore) -> None:
    deep = store.path("a").path("b").path("/c/d/", "mine")
    assert (deep.path_on_datastore, deep.data_reference_name) == ("a/b/c/d", "mine")
    assert store.path().path().path_on_datastore is None
    assert store.as_download().path("x").mode == "download"
    with pytest.raises(BadInput):
        store.path("a").path("../b")


def test_a_datastore_whose_name_is_no_variable(workspace: Workspace, tmp_path: Path) -> None:
    made = Datastore.register_local(workspace, "my data")
    reference = made.upload(folder_of(tmp_path / "src", a="1"), show_progress=False)
    assert reference.data_reference_name.isidentifier()
    assert reference.data_reference_name != Datastore(workspace).path().data_reference_name


def test_data_paths(store: Datastore) -> None:
    path = DataPath(store, "/a/b/", name="x")
    assert (path.datastore_name, path.path_on_datastore, path.name) == ("workspaceblobstore", "a/b", "x")
    made = path.create_data_reference("mine")
    assert (made.path_on_datastore, made.data_reference_name) == ("a/b", "mine")
    assert DataPath.create_from_data_reference(made).path_on_datastore == "a/b"
    assert DataPath.create_from_data_reference(store.path()).path_on_datastore == ""
    assert DataReference.create("mine", path).path_on_datastore == "a/b"
    for wrong in (DataPath, lambda: DataReference.create("x")):
        with pytest.raises(BadInput) as caught:
            wrong()
        assert caught.value.hint


@pytest.mark.parametrize("name", ["1a", "a-b", "a b", "ä", "a\n", 3])
def test_names_that_no_reference_can_have(store: Datastore, name: Any) -> None:
    with pytest.raises(BadInput, match="no name for an input"):
        store.path("a", name)


def test_what_is_not_here_says_what_to_use(store: Datastore) -> None:
    uses: list[Any] = [getattr(Datastore, name) for name in dir(Datastore) if name.startswith("register_")]
    uses.remove(Datastore.register_local)
    assert len(uses) == 9
    uses += [
        store.as_upload,
        store.path("a").as_upload,
        lambda: DataReference(store, mode="upload"),
        lambda: DataPath(store, "a").create_data_reference("x", object()),
    ]
    for use in uses:
        with pytest.raises(NotImplementedError) as caught:
            use()
        assert ":" in str(caught.value), "it names what to use instead"
    with pytest.raises(BadInput, match="no mode"):
        DataReference(store, mode="sideways")
