"""Data sets: made of paths, registered in versions, downloaded, mounted, split, kept by gc."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlrun import upkeep
from jupyter_mlrun.check import check
from jupyter_mlrun.errors import BadInput, Conflict, NotFound, StoreError
from jupyter_mlrun.rundir import write_all
from jupyter_mlrun.sdk import copies, data
from jupyter_mlrun.sdk.data import DataPath, Dataset, DatasetConsumptionConfig, Datastore, FileDataset
from jupyter_mlrun.sdk.workspace import Workspace
from jupyter_mlrun.store import snapshot
from jupyter_mlrun.store.packs import ObjectStore
from tests.datasets import content, content_of, folder_of, uploaded, write

LATER = 10 * upkeep.DAY


@pytest.fixture
def workspace(home: Path) -> Workspace:
    return Workspace("default", home=home)


@pytest.fixture
def images(workspace: Workspace, tmp_path: Path) -> FileDataset:
    """Four images and a text, at data/ of the default datastore."""
    files = {"train/ants/1.png": "1", "train/bees/2.png": "2", "val/ants/3.png": "3", "4.png": "4", "readme.txt": "r"}
    store = Datastore(workspace)
    store.upload(write(tmp_path / "images", files), "data", show_progress=False)
    return Dataset.File.from_files((store, "data"))


def from_files(workspace: Workspace, *paths: str) -> list[str]:
    store = Datastore(workspace)
    return Dataset.File.from_files([(store, path) for path in paths]).to_path()


# ---- from_files ----------------------------------------------------------------------------------------------


def test_paths_and_patterns(workspace: Workspace, images: FileDataset) -> None:
    assert images.to_path() == ["/4.png", "/readme.txt", "/train/ants/1.png", "/train/bees/2.png", "/val/ants/3.png"]
    assert from_files(workspace, "data/train") == ["/ants/1.png", "/bees/2.png"]
    assert from_files(workspace, "/data/train/ants/1.png") == ["/1.png"]
    assert from_files(workspace, "data/*.png") == ["/4.png"]
    assert from_files(workspace, "data/?.*") == ["/4.png"]
    assert from_files(workspace, "data/**/*.png") == [
        "/4.png",
        "/train/ants/1.png",
        "/train/bees/2.png",
        "/val/ants/3.png",
    ]
    assert from_files(workspace, "data/*/ants/*.png") == ["/train/ants/1.png", "/val/ants/3.png"]
    assert from_files(workspace, "data/train/**/1.png", "data/val") == ["/train/ants/1.png", "/val/ants/3.png"]


def test_every_form_of_a_path(workspace: Workspace, images: FileDataset) -> None:
    store = Datastore(workspace)
    forms: list[Any] = [
        (store, "data/train"),
        [(store, "data/train")],
        (store, ["data/train"]),
        DataPath(store, "data/train"),
        [DataPath(store, "data/train")],
        store.path("data/train"),
        store.path("data").path("train").as_download(),
        (store, Path("data/train")),
    ]
    for form in forms:
        assert Dataset.File.from_files(form).to_path() == ["/ants/1.png", "/bees/2.png"], form
    assert Dataset.File.from_files((store, ["data/train/ants", "data/val/ants"])).to_path() == [
        "/train/ants/1.png",
        "/val/ants/3.png",
    ]
    assert len(Dataset.File.from_files(store.path()).to_path()) == 5
    assert Dataset.File.from_files(path=(store, "data/4.png"), is_file=True).to_path() == ["/4.png"]


@pytest.mark.parametrize(
    ("path", "cure"),
    [
        ("https://example.com/data.csv", "download it first"),
        ("s3://bucket/data", "download it first"),
        ("here.csv", "%upload_data here.csv"),
        (".", "%upload_data"),
        ("data/train", "(datastore, 'path')"),
        ("/nowhere/x.csv", "(datastore, 'path')"),
        (Path("here.csv"), "%upload_data here.csv"),
        (3, "(datastore, 'path')"),
        (None, "(datastore, 'path')"),
        ([], "(datastore, 'path')"),
        (("workspaceblobstore", "data"), "(datastore, 'path')"),
        ({"path": "data"}, "(datastore, 'path')"),
    ],
)
def test_paths_that_are_on_no_datastore(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Any, cure: str
) -> None:
    monkeypatch.chdir(folder_of(tmp_path / "work", here_csv="1"))
    for given in (path, [path]) if path != [] else (path,):
        with pytest.raises(BadInput) as caught:
            Dataset.File.from_files(given)
        assert cure in str(caught.value.hint)
    assert not workspace.home.exists()


def test_paths_that_lead_outside(workspace: Workspace) -> None:
    store = Datastore(workspace)
    for path in ("../up", "data/../../up", "a\0b", None, 3):
        with pytest.raises(BadInput):
            Dataset.File.from_files((store, path))


def test_a_missing_path_is_named_with_what_is_near(workspace: Workspace, images: FileDataset) -> None:
    store = Datastore(workspace)
    with pytest.raises(NotFound, match="data/tran") as caught:
        Dataset.File.from_files((store, "data/tran"))
    assert caught.value.hint == "did you mean 'data/train'?"
    later = Dataset.File.from_files((store, "later"), validate=False)
    with pytest.raises(NotFound):
        later.to_path()
    assert later.download(ignore_not_found=True) == []
    uploaded(workspace, store.workspace.home.parent / "src", "later", a="1")
    assert later.to_path() == ["/a"]


def test_several_workspaces_are_not_mixed(workspace: Workspace, images: FileDataset, tmp_path: Path) -> None:
    other = Workspace("other", home=workspace.home)
    uploaded(other, tmp_path / "src", "data", a="1")
    with pytest.raises(BadInput, match="several workspaces"):
        Dataset.File.from_files([(Datastore(workspace), "data"), (Datastore(other), "data")])
    with pytest.raises(BadInput, match="'default'") as caught:
        images.register(other, "images")
    assert "'other'" in str(caught.value.hint)
    assert data.datasets(other) == {}


def test_a_folder_uploaded_as_a_data_set(workspace: Workspace, tmp_path: Path) -> None:
    store = Datastore(workspace)
    source = folder_of(tmp_path / "src", a="1", b__c="2")
    for target in ((store, "set"), DataPath(store, "set")):
        made = Dataset.File.upload_directory(str(source), target, show_progress=False)
        assert made.to_path() == ["/a", "/b/c"]
    with pytest.raises(BadInput):
        Dataset.File.upload_directory(str(source), "set")
    with pytest.raises(BadInput, match="no one place"):
        Dataset.File.upload_directory(str(source), (store, ["a", "b"]))


def test_an_unregistered_data_set_is_what_lies_there_now(workspace: Workspace, tmp_path: Path) -> None:
    now = uploaded(workspace, tmp_path / "1", "x", a="1")
    fixed = now.register(workspace, "fixed")
    uploaded(workspace, tmp_path / "2", "x", a="2", b="2")
    assert now.to_path() == ["/a", "/b"]
    assert content_of(now, tmp_path / "now") == {"a": "2", "b": "2"}
    assert content_of(fixed, tmp_path / "fixed") == {"a": "1"}


# ---- downloading and mounting ----------------------------------------------------------------------------------


def test_download(images: FileDataset, tmp_path: Path) -> None:
    found = images.download(str(tmp_path / "out"))
    assert sorted(os.path.relpath(path, tmp_path / "out") for path in found) == [p[1:] for p in images.to_path()]
    assert content(tmp_path / "out")["train/ants/1.png"] == "1"
    somewhere = images.download()
    folder = Path(os.path.commonpath(somewhere))
    assert len(content(folder)) == 5
    assert folder.stat().st_mode & 0o077 == 0
    copies.remove_folder(folder)


def test_a_download_overwrites_only_what_it_may(images: FileDataset, tmp_path: Path) -> None:
    out = write(tmp_path / "out", {"4.png": "mine", "other": "mine"})
    with pytest.raises(Conflict, match=re.escape(str(out / "4.png"))) as caught:
        images.download(str(out))
    assert "overwrite" in str(caught.value.hint)
    assert content(out) == {"4.png": "mine", "other": "mine"}, "nothing was written"
    images.download(str(out), overwrite=True)
    assert content(out)["4.png"] == "4"
    assert content(out)["other"] == "mine"


def test_a_download_writes_through_no_link(images: FileDataset, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in {path.strip("/").partition("/")[0] for path in images.to_path()}:
        (tmp_path / "to").mkdir(exist_ok=True)
        (tmp_path / "to" / name).symlink_to(elsewhere)
    with pytest.raises(Conflict, match="no folder"):
        images.download(str(tmp_path / "to"), overwrite=True)
    assert not content(elsewhere)


def test_a_download_leaves_no_file_in_part(
    images: FileDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = write_all
    written = []

    def write_some(fd: int, part: bytes) -> None:
        real(fd, part)
        written.append(1)
        if len(written) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(copies, "write_all", write_some)
    with pytest.raises(KeyboardInterrupt):
        images.download(str(tmp_path / "out"))
    assert len(content(tmp_path / "out")) == 2


def test_a_data_set_of_one_file(workspace: Workspace, images: FileDataset, tmp_path: Path) -> None:
    single = Dataset.File.from_files((Datastore(workspace), "data/train/ants/1.png"))
    assert single.resolve().file == "1.png"
    assert single.download(str(tmp_path / "out")) == [str(tmp_path / "out/1.png")]
    with single.mount() as mounted:
        assert Path(mounted.mount_point).read_text() == "1"
        assert mounted.mount_point.endswith("/1.png")
    same = single.register(workspace, "single")
    assert Dataset.get_by_name(workspace, "single").resolve().file == "1.png"
    folder = Dataset.File.from_files((Datastore(workspace), "data/train/ants"))
    assert folder.resolve().manifest == same.resolve().manifest
    assert folder.register(workspace, "single", create_new_version=True).version == 2, "one is a file, one a folder"


def test_mount(images: FileDataset) -> None:
    with images.mount() as mounted:
        place = Path(mounted.mount_point)
        assert content(place) == {
            path[1:]: Path(path).stem[0] for path in images.to_path()
        }  # fmt: skip
        assert all(path.stat().st_mode & 0o222 == 0 for path in place.rglob("*.png"))
        assert place.stat().st_mode & 0o077 == 0
    assert not place.exists()


def test_mount_by_hand(images: FileDataset, tmp_path: Path) -> None:
    context = images.mount(str(tmp_path / "here/deep"))
    assert context.mount_point == str(tmp_path / "here/deep")
    assert not (tmp_path / "here").exists(), "nothing is made before start()"
    context.stop()
    context.start()
    assert len(content(tmp_path / "here/deep")) == 5
    with pytest.raises(Conflict, match="already"):
        context.start()
    (tmp_path / "here/deep/mine").write_text("mine")
    (tmp_path / "here/deep/train/mine").write_text("mine")
    context.stop()
    assert content(tmp_path / "here/deep") == {"mine": "mine", "train/mine": "mine"}, "what is not ours stays"
    assert not (tmp_path / "here/deep/val").exists()
    context.stop()
    (tmp_path / "empty").mkdir()
    with images.mount(str(tmp_path / "empty")):
        assert len(content(tmp_path / "empty")) == 5
    assert list((tmp_path / "empty").iterdir()) == [], "a folder that was there stays"


def test_a_mount_harms_nothing_that_is_there(images: FileDataset, tmp_path: Path) -> None:
    mine = write(tmp_path / "mine", {"4.png": "mine"})
    for place in (mine, mine / "4.png"):
        context = images.mount(str(place))
        with pytest.raises(Conflict, match="not an empty folder") as caught:
            context.start()
        assert caught.value.hint
        context.stop()
    assert content(mine) == {"4.png": "mine"}


def test_a_mount_that_fails_leaves_nothing(
    images: FileDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = write_all
    written = []

    def fail(fd: int, part: bytes) -> None:
        real(fd, part)
        written.append(1)
        if len(written) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(copies, "write_all", fail)
    with pytest.raises(StoreError, match="No space left"), images.mount(str(tmp_path / "here")):
        pytest.fail("it cannot be mounted")
    assert not (tmp_path / "here").exists()


# ---- parts -----------------------------------------------------------------------------------------------------


def test_take_and_skip(images: FileDataset) -> None:
    assert images.take(2).to_path() == ["/4.png", "/readme.txt"]
    assert images.skip(3).to_path() == ["/train/bees/2.png", "/val/ants/3.png"]
    assert images.skip(1).take(1).to_path() == ["/readme.txt"]
    assert images.take(0).to_path() == images.skip(99).to_path() == []
    assert images.take(99).to_path() == images.to_path()
    for count in (-1, 1.5, "1", None):
        for part in (images.take, images.skip):
            with pytest.raises(BadInput, match="no number of files") as caught:
                part(count)  # type: ignore[arg-type]
            assert caught.value.hint


def test_random_parts(images: FileDataset) -> None:
    everything = images.to_path()
    for seed in range(20):
        first, second = images.random_split(0.5, seed=seed)
        assert sorted(first.to_path() + second.to_path()) == everything
        assert images.random_split(0.5, seed=seed)[0].to_path() == first.to_path()
        assert images.take_sample(0.5, seed=seed).to_path() == first.to_path()
    assert len({tuple(images.take_sample(0.5, seed=seed).to_path()) for seed in range(20)}) > 3
    assert [part.to_path() for part in images.random_split(1.0)] == [everything, []]
    assert images.take_sample(0).to_path() == []
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(BadInput, match="no share"):
            images.random_split(share)


def test_a_part_is_a_data_set_like_others(workspace: Workspace, images: FileDataset, tmp_path: Path) -> None:
    part = images.take(1)
    assert content_of(part, tmp_path / "out") == {"4.png": "4"}
    assert part.register(workspace, "part").version == 1
    assert Dataset.get_by_name(workspace, "part").to_path() == ["/4.png"]
    empty = images.take(0).register(workspace, "empty")
    assert empty.to_path() == empty.download(str(tmp_path / "empty")) == []
    assert empty.size == 0


# ---- the registry ------------------------------------------------------------------------------------------------


def test_register_and_find(workspace: Workspace, images: FileDataset, tmp_path: Path) -> None:
    began = datetime.now(timezone.utc)
    made = images.register(workspace, "images", "of insects", {"kind": "test", "n": 4})  # type: ignore[dict-item]
    assert (made.name, made.version, made.description, made.tags) == (
        "images",
        1,
        "of insects",
        {"kind": "test", "n": "4"},
    )
    assert made.data_changed_time is not None
    assert began <= made.data_changed_time <= datetime.now(timezone.utc)
    assert (images.name, images.version, images.id, images.data_changed_time) == (None, None, None, None)
    assert images.tags == {}
    by_name, by_id = Dataset.get_by_name(workspace, "images"), Dataset.get_by_id(workspace, str(made.id))
    for found in (by_name, by_id, Dataset.get_all(workspace)["images"], data.datasets(workspace)["images"]):
        assert (found.name, found.version, found.id) == ("images", 1, made.id)
        assert found.to_path() == images.to_path()
    assert FileDataset.get_by_name(workspace, "images").id == made.id
    assert FileDataset.get_by_id(workspace, str(made.id)).name == "images"
    assert list(FileDataset.get_all(workspace)) == ["images"]
    assert content_of(by_name, tmp_path / "out")["4.png"] == "4"
    assert by_name.size == 5
    assert repr(made) == "FileDataset(name='images', version=1, 5 files)"
    assert "data" in repr(images)


def test_versions(workspace: Workspace, tmp_path: Path) -> None:
    first = uploaded(workspace, tmp_path / "1", "x", a="1").register(workspace, "set")
    second = uploaded(workspace, tmp_path / "2", "x", a="2")
    with pytest.raises(Conflict, match="'set'") as caught:
        second.register(workspace, "set")
    assert "create_new_version" in str(caught.value.hint)
    assert second.register(workspace, "set", create_new_version=True).version == 2
    assert first.register(workspace, "other").version == 1
    versions: list[Any] = [1, "1", 2, "2", "latest"]
    found = [Dataset.get_by_name(workspace, "set", version) for version in versions]
    assert [one.version for one in found] == [1, 1, 2, 2, 2]
    assert content_of(found[0], tmp_path / "o1") == {"a": "1"}
    assert content_of(found[4], tmp_path / "o2") == {"a": "2"}
    for version in (0, 3, "01", "v1", "", "Latest"):
        with pytest.raises(NotFound, match="has no version") as missing:
            Dataset.get_by_name(workspace, "set", version)
        assert missing.value.hint == "it has: 1, 2"
    with pytest.raises(NotFound) as unknown:
        Dataset.get_by_name(workspace, "sett")
    assert unknown.value.hint == "did you mean 'set'?"
    for wrong in ("", "0" * 32, str(first.id)[:10]):
        with pytest.raises(NotFound, match="id"):
            Dataset.get_by_id(workspace, wrong)


def test_the_same_content_is_the_same_version(workspace: Workspace, tmp_path: Path) -> None:
    first = uploaded(workspace, tmp_path / "1", "x", a="1").register(workspace, "set", description="d", tags={"a": "1"})
    for new in (False, True):
        again = uploaded(workspace, tmp_path / "2", "y", a="1").register(workspace, "set", create_new_version=new)
        assert (again.version, again.id, again.description, again.tags) == (1, first.id, "d", {"a": "1"})
    said = first.register(workspace, "set", tags={"b": "2"})
    assert (said.version, said.tags, said.description) == (1, {"a": "1", "b": "2"}, "d")


def test_ids_tell_names_apart(workspace: Workspace, images: FileDataset) -> None:
    made = [images.register(workspace, name) for name in ("a", "b")]
    assert made[0].id != made[1].id
    assert [Dataset.get_by_id(workspace, str(one.id)).name for one in made] == ["a", "b"]


def test_what_is_said_of_a_data_set(workspace: Workspace, images: FileDataset) -> None:
    made = images.register(workspace, "images", tags={"a": "1", "b": "1"})
    assert made.add_tags({"c": "1"}).tags == {"a": "1", "b": "1", "c": "1"}
    stale = Dataset.get_by_name(workspace, "images")
    made.add_tags({"d": "1"})
    assert stale.update(description="new", tags={"a": "2"}).tags == {"a": "2"}, "also what came since"
    assert Dataset.get_by_name(workspace, "images").tags == {"a": "2"}
    assert Dataset.get_by_name(workspace, "images").description == "new"
    assert stale.remove_tags(["a", "nothing"]).tags == {}
    assert stale.update(tags={"x": "1"}).description == "new"
    wrong: list[Callable[[], Any]] = [
        lambda: made.add_tags(["a"]),  # type: ignore[arg-type]
        lambda: made.add_tags({3: "a"}),  # type: ignore[dict-item]
        lambda: made.remove_tags("a"),
        lambda: made.update(description=3),  # type: ignore[arg-type]
        lambda: images.register(workspace, "images", tags="a=b"),  # type: ignore[arg-type]
        lambda: images.register(workspace, "images", description=3),  # type: ignore[arg-type]
    ]
    for use in wrong:
        with pytest.raises(BadInput):
            use()
    assert Dataset.get_by_name(workspace, "images").tags == {"x": "1"}
    for use in (lambda: images.add_tags({"a": "b"}), images.update, images.unregister_all_versions):
        with pytest.raises(BadInput, match="not registered") as caught:
            use()
        assert caught.value.hint


@pytest.mark.parametrize(
    "name", ["", "../up", "a/b", "a@1", "a:1", "latest", "CON", "a\0", "a\n", "x" * 1024, None, 3], ids=ascii
)
def test_names_that_no_data_set_can_have(workspace: Workspace, images: FileDataset, name: Any) -> None:
    with pytest.raises(BadInput, match=r"name|called"):
        images.register(workspace, name)
    with pytest.raises(NotFound):
        Dataset.get_by_name(workspace, name)
    assert data.datasets(workspace) == {}


def test_unregister(workspace: Workspace, tmp_path: Path) -> None:
    for n in range(3):
        made = uploaded(workspace, tmp_path / str(n), "x", a=str(n)).register(workspace, "set", create_new_version=True)
    stale = Dataset.get_by_name(workspace, "set", 1)
    made.unregister_all_versions()
    assert data.datasets(workspace) == {}
    assert (made.name, made.version, made.id) == (None, None, None)
    assert made.to_path() == ["/a"]
    with pytest.raises(NotFound):
        stale.add_tags({"a": "b"})
    stale.unregister_all_versions()
    assert made.register(workspace, "set").version == 4, "a number is never given out twice"


def test_a_damaged_record_is_named(workspace: Workspace, images: FileDataset) -> None:
    images.register(workspace, "images")
    path = workspace.folder.path / "datasets/images/1.json"
    for text in ("{", "[]", '{"name": "images"}'):
        path.write_text(text)
        for use in (lambda: Dataset.get_by_name(workspace, "images"), lambda: data.datasets(workspace)):
            with pytest.raises(StoreError, match="damaged") as caught:
                use()
            assert caught.value.hint


def test_a_read_only_home_can_be_read(workspace: Workspace, images: FileDataset, tmp_path: Path) -> None:
    images.register(workspace, "images")
    writes = []
    real = os.open

    def watched(path: Any, flags: int, *args: Any, **options: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and str(path).startswith(str(workspace.home)):
            writes.append(path)
        return real(path, flags, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", watched)
        found = Dataset.get_by_name(workspace, "images")
        found.to_path()
        found.download(str(tmp_path / "out"))
    assert writes == []


# ---- as inputs ---------------------------------------------------------------------------------------------------


def test_inputs(images: FileDataset) -> None:
    named = images.as_named_input("data")
    assert (named.name, named.mode, named.path_on_compute, named.dataset) == ("data", "direct", None, images)
    mounted, copied = named.as_mount("/mnt/x"), named.as_download("here")
    assert (mounted.mode, mounted.path_on_compute) == ("mount", "/mnt/x")
    assert (copied.name, copied.mode, copied.path_on_compute) == ("data", "download", "here")
    assert named.mode == "direct", "the first is as it was"
    named.name = "other"
    assert named.name == "other"
    auto = images.as_mount()
    assert re.fullmatch("input_[0-9a-f]{8}", auto.name)
    assert images.as_download("x").name == auto.name
    assert auto.name != images.take(1).as_mount().name
    assert "data" in repr(mounted)


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "ä", "a\n", None, 3], ids=ascii)
def test_names_that_no_input_can_have(images: FileDataset, name: Any) -> None:
    with pytest.raises(BadInput, match="no name for an input"):
        images.as_named_input(name)
    named = images.as_named_input("data")
    with pytest.raises(BadInput):
        named.name = name
    assert named.name == "data"


def test_inputs_that_are_none(images: FileDataset) -> None:
    with pytest.raises(BadInput, match="no mode") as caught:
        DatasetConsumptionConfig("data", images, "hdfs")
    assert caught.value.hint == "one of: mount, download, direct"
    with pytest.raises(BadInput, match="is a str"):
        DatasetConsumptionConfig("data", "images")  # type: ignore[arg-type]


# ---- what is not here ----------------------------------------------------------------------------------------------


def test_what_is_not_here_says_what_to_use(images: FileDataset, tmp_path: Path) -> None:
    source = folder_of(tmp_path / "src", a="1")
    uses: list[Callable[[], Any]] = [
        images.as_hdfs,
        images.as_named_input("x").as_hdfs,
        lambda: images.as_cache(object()),
        lambda: images.hydrate(object(), 2),
        lambda: images.file_metadata("Size"),
        lambda: images.filter(object()),
        images.get_partition_key_values,
        lambda: images["column"],
        lambda: Dataset.File.from_files((Datastore(images.workspace), "data"), partition_format="{a}"),
        lambda: Dataset.File.upload_directory(str(source), (Datastore(images.workspace), "x"), pattern="*.png"),
        *(
            getattr(Dataset.Tabular, name)
            for name in ("from_delimited_files", "from_parquet_files", "from_json_lines_files", "from_sql_query",
                         "register_pandas_dataframe", "register_spark_dataframe", "register_dask_dataframe")
        ),
    ]  # fmt: skip
    for use in uses:
        with pytest.raises(NotImplementedError, match="not here: ") as caught:
            use()
        assert re.search(r"use |make |leave ", str(caught.value)), caught.value
    assert images.partition_keys == []
    with pytest.raises(TypeError, match="to_path"):
        list(images)


# ---- gc and fsck -----------------------------------------------------------------------------------------------------


def collected(workspace: Workspace) -> int:
    """How many trees are left when everything is old."""
    upkeep.gc(workspace.home, now=time.time() + LATER)
    return len(snapshot.list_manifests(ObjectStore(workspace.folder.objects)))


def test_gc_keeps_what_is_registered_or_lies_somewhere(workspace: Workspace, tmp_path: Path) -> None:
    lying = uploaded(workspace, tmp_path / "1", "x", a="lying" * 1000)
    registered = uploaded(workspace, tmp_path / "2", "y", a="registered" * 1000).take(1).register(workspace, "set")
    part = lying.register(workspace, "of two", create_new_version=True)
    assert collected(workspace) == 2
    assert content_of(lying, tmp_path / "o1") == {"a": "lying" * 1000}
    assert content_of(registered, tmp_path / "o2") == {"a": "registered" * 1000}
    assert content_of(part, tmp_path / "o3") == {"a": "lying" * 1000}
    assert [one for one in check(workspace.home) if one.level == "fail"] == []


def test_gc_drops_what_was_unregistered_or_replaced(workspace: Workspace, tmp_path: Path) -> None:
    """Replaced on the datastore and forgotten by the registry: the tree goes, and with it its content."""
    big = "".join(chr(65 + n % 57) for n in range(300_000))
    first = uploaded(workspace, tmp_path / "1", "x", a=big, b="same").register(workspace, "set")
    uploaded(workspace, tmp_path / "2", "x", a="new")
    assert collected(workspace) == 2, "the registered version is whole"
    assert content_of(first, tmp_path / "o1") == {"a": big, "b": "same"}
    size = upkeep.size_of(workspace.folder.objects)
    for path in ObjectStore(workspace.folder.objects).manifests.glob("*.json"):
        os.utime(path, (1, 1))
    first.unregister_all_versions()
    upkeep.gc(workspace.home)
    assert content_of(first, tmp_path / "o2")["b"] == "same", "somebody may have just found it"
    assert collected(workspace) == 1
    assert upkeep.size_of(workspace.folder.objects) < size - 250_000
    with pytest.raises(NotFound):
        first.to_path()
    assert [one for one in check(workspace.home) if one.level == "fail"] == []


def test_gc_drops_a_datastore_that_was_unregistered(workspace: Workspace, tmp_path: Path) -> None:
    second = Datastore.register_local(workspace, "second")
    second.upload(folder_of(tmp_path / "1", a="1"), "x", show_progress=False)
    kept = Dataset.File.from_files((second, "x")).register(workspace, "kept")
    second.upload(folder_of(tmp_path / "2", a="2"), "y", show_progress=False)
    second.unregister()
    assert collected(workspace) == 1
    assert content_of(kept, tmp_path / "out") == {"a": "1"}
    assert [one for one in check(workspace.home) if one.level == "fail"] == []


def test_gc_keeps_everything_where_a_list_is_damaged(workspace: Workspace, images: FileDataset) -> None:
    images.register(workspace, "images")
    made = images.take(2).resolve()
    path = workspace.folder.path / "datastores/workspaceblobstore/1.json"
    whole = path.read_bytes()
    path.write_bytes(b"{")
    done = upkeep.gc(workspace.home, now=time.time() + LATER)
    assert str(path) in done["kept"][0]
    assert snapshot.read_manifest(ObjectStore(workspace.folder.objects), made.manifest).count == 2
    assert any(str(path.parent) in one.where for one in check(workspace.home))
    path.write_bytes(whole)
    assert collected(workspace) == 1


def test_fsck_names_the_data_set_whose_content_is_damaged(workspace: Workspace, images: FileDataset) -> None:
    images.register(workspace, "images")
    assert [one for one in check(workspace.home) if one.level == "fail"] == []
    store = ObjectStore(workspace.folder.objects)
    (pack,) = store.packs.glob("*.pack")
    data_of = bytearray(pack.read_bytes())
    data_of[-1] ^= 1
    pack.write_bytes(data_of)
    said = [str(one) for one in check(workspace.home) if one.level == "fail"]
    assert any("dataset images:1" in text and "datastore workspaceblobstore" in text for text in said), said
    manifest = store.manifests / f"{images.resolve().manifest}.json"
    text = manifest.read_bytes()
    for damage in (text[:-9], text.replace(b"4.png", b"5.png")):
        manifest.write_bytes(damage)
        said = [str(one) for one in check(workspace.home) if one.where == str(manifest)]
        assert any("dataset images:1" in text for text in said), said
    manifest.unlink()
    assert any("dataset images:1" in str(one) and "is gone" in str(one) for one in check(workspace.home))


def test_damaged_content_is_never_given_out(workspace: Workspace, images: FileDataset, tmp_path: Path) -> None:
    (pack,) = ObjectStore(workspace.folder.objects).packs.glob("*.pack")
    pack.write_bytes(pack.read_bytes().replace(b"OBJ1", b"OBJ1")[:-1] + b"?")
    with pytest.raises(StoreError, match="damaged"):
        images.download(str(tmp_path / "out"))
    assert "?" not in content(tmp_path / "out").values()


# ---- ten thousand files ----------------------------------------------------------------------------------------------


def test_ten_thousand_files(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Registering, finding and splitting read the list of files once or twice each, not once per file."""
    made = data.datastores(workspace)["workspaceblobstore"]
    from jupyter_mlrun.store import datastores, trees

    store = ObjectStore(workspace.folder.objects)
    entries = [
        {"path": f"{n % 100}/{n}.png", "size": 1, "executable": False, "chunks": ["00" * 32]} for n in range(10_000)
    ]
    datastores.Contents(workspace.folder, made.name).put("many", trees.put(store, entries), overwrite=False)
    reads: list[str] = []
    real = snapshot.read_manifest

    def counted(where: ObjectStore, manifest_id: str) -> Any:
        reads.append(manifest_id)
        return real(where, manifest_id)

    monkeypatch.setattr(snapshot, "read_manifest", counted)
    many = Dataset.File.from_files((made, "many"))
    assert len(many.to_path()) == 10_000
    registered = many.register(workspace, "many")
    assert (registered.size, len(registered.take(5000).to_path())) == (10_000, 5000)
    first, second = registered.random_split(0.3, seed=1)
    assert first.resolve().count + second.resolve().count == 10_000
    assert len(reads) <= 8
