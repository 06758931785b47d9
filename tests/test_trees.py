"""Trees as lists of files: paths and patterns, one tree over another, and what paths on datastores mean."""

from __future__ import annotations

import fcntl
import fnmatch
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlrun.errors import BadInput, NotFound, StoreError
from jupyter_mlrun.rundir import read_json
from jupyter_mlrun.store import datastores, snapshot, trees
from jupyter_mlrun.store.datastores import KEPT, Contents, Resolved, resolve
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.store.packs import ObjectStore
from jupyter_mlrun.store.snapshot import Snapshot


@pytest.fixture
def place(home: Path) -> WorkspaceDir:
    return WorkspaceDir(home, "default").make()


def entry(path: str, content: str = "") -> dict[str, Any]:
    """An entry of a manifest; its content is told by its chunk."""
    return {"path": path, "size": len(content), "executable": False, "chunks": [f"{content or path}".encode().hex()]}


def tree(place: WorkspaceDir, *paths: str, content: str = "") -> Snapshot:
    return trees.put(ObjectStore(place.objects), [entry(path, content) for path in paths])


def at(place: WorkspaceDir, *pairs: tuple[str, str]) -> list[str]:
    """The paths of the tree that (datastore, path) pairs mean."""
    found = resolve(place, pairs)
    return sorted(e["path"] for e in trees.entries(ObjectStore(place.objects), found.manifest))


def listing(place: WorkspaceDir, name: str = "ds") -> dict[str, str]:
    """Every file on a datastore, and its content."""
    return {e["path"]: bytes.fromhex(e["chunks"][0]).decode() for e in Contents(place, name).entries("")}


# ---- paths and patterns ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "clean"),
    [
        ("a/b", "a/b"), ("/a/b/", "a/b"), ("./a//b/.", "a/b"), ("", ""), ("/", ""), (".", ""), ("a\\b", "a/b"),
        ("a b/ü", "a b/ü"), ("...", "..."), ("a..b", "a..b"), (Path("a/b"), "a/b"),
    ],
)  # fmt: skip
def test_a_path_is_made_clean(given: Any, clean: str) -> None:
    assert trees.clean(given) == clean


@pytest.mark.parametrize(
    "path",
    ["..", "../a", "a/../b", "a/..", "..\\a", "a\0b", "\ud800", "x" * 256, "a/" + "я" * 128, None, 3, b"a"],
    ids=ascii,
)
def test_a_path_that_is_none_is_refused(path: Any) -> None:
    with pytest.raises(BadInput, match="path of a thing") as caught:
        trees.clean(path, "path of a thing")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("*.png", ["a.png", ".png"], ["a.jpg", "b/a.png", "a.png.txt"]),
        ("**/*.png", ["a.png", "b/a.png", "b/c/a.png"], ["b/a.jpg", "b/c"]),
        ("b/**/a.png", ["b/a.png", "b/c/a.png", "b/c/d/a.png"], ["a.png", "bb/a.png", "b/xa.png"]),
        ("b/**", ["b/a", "b/c/a"], ["a", "bb/a"]),
        ("?.txt", ["a.txt", "ü.txt"], [".txt", "ab.txt"]),
        ("[ab].txt", ["a.txt", "b.txt"], ["c.txt"]),
        ("[!ab].txt", ["c.txt"], ["a.txt"]),
        ("train/*", ["train/a", "train/ants/1.png"], ["train", "val/a"]),
        ("*/ants", ["train/ants/1.png", "val/ants/x/2.png"], ["ants/1.png", "train/bees/1.png", "train/antss/1"]),
        ("**/b/**/d", ["b/d", "a/b/c/d", "b/b/d/d"], ["a/d", "d/b"]),
        ("[", ["["], ["a"]),
        ("a+.(b)", ["a+.(b)"], ["aa.b"]),
    ],
)
def test_patterns(pattern: str, matching: list[str], other: list[str]) -> None:
    assert [path for path in [*matching, *other] if trees.matches(path, pattern)] == matching


def test_no_pattern_takes_for_ever() -> None:
    """Steps are counted: each part of the pattern looks at each step of the path at most once."""
    path = "/".join(["a"] * 300)
    pattern = "/".join(["**", "a"] * 150 + ["b"])
    looked = 0
    real = fnmatch.fnmatchcase

    def count(name: str, part: str) -> bool:
        nonlocal looked
        looked += 1
        return real(name, part)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fnmatch, "fnmatchcase", count)
        assert not trees.matches(path, pattern)
    assert looked <= 301 * 301


@pytest.mark.parametrize(
    ("pattern", "base"), [("a/b/*.png", "a/b"), ("*.png", ""), ("a/b", "a/b"), ("a/**/b", "a"), ("a/[bc]/d", "a")]
)
def test_the_folder_before_the_first_wildcard(pattern: str, base: str) -> None:
    assert trees.base_of(pattern) == base


# ---- one over another --------------------------------------------------------------------------------------


def merged(lower: list[str], upper: list[str], *, overwrite: bool = False, folders: tuple[str, ...] = ()) -> list[str]:
    found = trees.merge([entry(p) for p in lower], [entry(p) for p in upper], overwrite=overwrite, folders=folders)
    return sorted(one["path"] for one in found.files)


def test_what_differs_stays_unless_it_is_replaced() -> None:
    lower, upper = [entry("a", "old"), entry("b", "same")], [entry("a", "new"), entry("b", "same"), entry("c")]
    kept = trees.merge(lower, upper, overwrite=False)
    assert (kept.kept, kept.replaced) == (["a"], [])
    assert kept.files == [lower[0], lower[1], upper[2]]
    over = trees.merge(lower, upper, overwrite=True)
    assert (over.kept, over.replaced) == ([], ["a"])
    assert over.files == upper


@pytest.mark.parametrize(
    ("lower", "upper", "clash"),
    [
        (["a"], ["a/b"], "'a' is a file"),
        (["a/b"], ["a"], "'a' is a folder"),
        (["a/b/c/d"], ["a/b"], "'a/b' is a folder"),
        (["a"], ["x", "a/b/c/d"], "'a' is a file"),
        ([], ["a", "a/b"], "'a' is a file"),
        ([], ["a/b", "a"], "'a' is a folder"),
    ],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_and_a_folder_of_one_name(lower: list[str], upper: list[str], clash: str, overwrite: bool) -> None:
    with pytest.raises(BadInput, match=clash) as caught:
        merged(lower, upper, overwrite=overwrite)
    assert caught.value.hint


def test_folders_that_others_have() -> None:
    assert merged(["x"], ["a/c"], folders=("a/b",)) == ["a/c", "x"]
    for path in ("a", "a/b"):
        with pytest.raises(BadInput, match=f"'{path}' is a folder"):
            merged(["x"], [path], folders=("a/b",))


def test_names_that_only_begin_alike_are_no_clash() -> None:
    assert merged(["a", "ab/c"], ["a.b", "a-b/c", "ab/d"]) == ["a", "a-b/c", "a.b", "ab/c", "ab/d"]


def test_merging_many_files_looks_at_each_once() -> None:
    """10,000 files over 10,000: every entry's path is asked for a few times, not once for each other entry."""
    asked = 0

    class Counted(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            nonlocal asked
            asked += 1
            return super().__getitem__(key)

    def many(what: str) -> list[dict[str, Any]]:
        return [Counted(entry(f"{what}/{n % 100}/{n}.png")) for n in range(10_000)]

    found = trees.merge(many("a"), many("b"), overwrite=True)
    assert len(found.files) == 20_000
    assert asked < 100_000


def test_a_tree_has_one_id_whatever_the_order(place: WorkspaceDir) -> None:
    paths = [f"{n % 7}/{n}" for n in range(50)] + ["a", "a.b", "ab/c", "a b"]
    first = tree(place, *paths)
    random.Random(1).shuffle(paths)
    assert tree(place, *paths) == first
    assert first.count == 54


def test_a_tree_is_the_one_that_a_folder_gives(place: WorkspaceDir, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for path in ("b.txt", "a/x.txt", "a-b/x.txt", "a/b/c.txt", "ä/ö"):
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(path)
    (source / "b.txt").chmod(0o755)
    store = ObjectStore(place.objects)
    taken = snapshot.take_data(store, snapshot.scan_data(source, store=store))
    again = trees.put(store, reversed(trees.entries(store, taken.id)))
    assert again == taken
    moved = trees.entries(store, taken.id, below="a", at="there")
    assert [e["path"] for e in moved] == ["there/x.txt", "there/b/c.txt"]


def test_a_tree_without_files(place: WorkspaceDir) -> None:
    empty = tree(place)
    assert (empty.count, empty.bytes) == (0, 0)
    assert trees.entries(ObjectStore(place.objects), empty.id) == []


# ---- what lies on a datastore ------------------------------------------------------------------------------


def put(
    place: WorkspaceDir, target: str, *paths: str, content: str = "", overwrite: bool = False, name: str = "ds"
) -> Any:
    return Contents(place, name).put(target, tree(place, *paths, content=content), overwrite=overwrite)


def test_uploads_over_each_other(place: WorkspaceDir) -> None:
    assert put(place, "data", "a", "b/c", content="1").changed
    assert not put(place, "data", "a", "b/c", content="1").changed
    kept = put(place, "data", "a", "d", content="2")
    assert (kept.kept, kept.replaced, kept.changed) == (["data/a"], [], True)
    assert listing(place) == {"data/a": "1", "data/b/c": "1", "data/d": "2"}
    assert not put(place, "data", "a", content="2").changed
    over = put(place, "data/b", "c", content="3", overwrite=True)
    assert (over.kept, over.replaced) == ([], ["data/b/c"])
    assert listing(place)["data/b/c"] == "3"


def test_every_order_of_uploads_gives_the_same_files(place: WorkspaceDir) -> None:
    """Above, below and beside one another: a file is where it was put, whichever tree has it."""
    uploads = [("", ("r", "a/x")), ("a", ("y", "b/z")), ("a/b", ("w", "c/v")), ("a/b/c", ("u",)), ("ab", ("t",))]
    wanted = {f"{target}/{path}".lstrip("/") for target, paths in uploads for path in paths}
    chance = random.Random(3)
    for number in range(12):
        chance.shuffle(uploads)
        for target, paths in uploads:
            put(place, target, *paths, name=f"ds{number}")
        assert {e["path"] for e in Contents(place, f"ds{number}").entries("")} == wanted, uploads
        assert at(place, (f"ds{number}", "a/b")) == ["c/u", "c/v", "w", "z"], uploads
        assert at(place, (f"ds{number}", "a")) == ["b/c/u", "b/c/v", "b/w", "b/z", "x", "y"], uploads


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("d", "a"), ("d/a", "b")),  # a folder where a file is
        (("d/a", "b"), ("d", "a")),  # a file where a folder is
        (("", "d"), ("d", "x")),
        (("d/e/f", "x"), ("", "d")),
        (("d/e/f", "x"), ("d", "e")),
        (("d/e/f", "x"), ("d/e", "f")),
        (("", "a/b/c"), ("a", "b")),
    ],
)
def test_a_file_where_a_folder_was(
    place: WorkspaceDir, first: tuple[str, str], second: tuple[str, str], overwrite: bool
) -> None:
    put(place, *first)
    before = listing(place)
    with pytest.raises(BadInput, match=r"is a (file|folder) there"):
        put(place, *second, "other", overwrite=overwrite)
    assert listing(place) == before, "nothing of an upload that is refused can be seen"


def test_many_uploads_are_kept_small(place: WorkspaceDir) -> None:
    for n in range(3 * KEPT):
        put(place, f"folder{n}", "a")
    contents = Contents(place, "ds")
    assert len(contents.numbers()) <= KEPT + 1
    assert contents.numbers()[-1] == 3 * KEPT
    assert len(listing(place)) == 3 * KEPT


def test_a_large_tree_is_not_touched_by_uploads_beside_it(place: WorkspaceDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also not by one to the root: its files are in a tree of their own."""
    put(place, "large", *(f"{n}" for n in range(100)))
    large = Contents(place, "ds").read()[1]["large"]
    read: list[str] = []
    real = snapshot.read_manifest

    def counted(store: ObjectStore, manifest_id: str) -> Any:
        read.append(manifest_id)
        return real(store, manifest_id)

    monkeypatch.setattr(snapshot, "read_manifest", counted)
    put(place, "", "label.csv")
    put(place, "other", "a")
    put(place, "", "other/b")
    assert large not in read
    assert at(place, ("ds", "label.csv")) == ["label.csv"]
    assert large not in read


def test_replaced_trees_are_young_again(place: WorkspaceDir) -> None:
    """``gc`` leaves what was replaced a moment ago to whoever has just found it."""
    put(place, "data", "a", content="1")
    store = ObjectStore(place.objects)
    manifest = store.manifests / f"{Contents(place, 'ds').read()[1]['data']}.json"
    os.utime(manifest, (1, 1))
    before = time.time()
    put(place, "data", "a", content="2", overwrite=True)
    assert manifest.stat().st_mtime > before - 100
    assert manifest.stem not in Contents(place, "ds").manifests()


def test_one_upload_at_a_time_changes_the_list(place: WorkspaceDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else many others could pass while one is slow, and its number, forgotten by then, would be free again."""
    put(place, "data", "a")
    real = trees.merge
    asked: list[str] = []

    def slow(*args: Any, **options: Any) -> Any:
        with (Contents(place, "ds").folder / ".lock").open() as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        asked.append("merge")
        return real(*args, **options)

    monkeypatch.setattr(trees, "merge", slow)
    put(place, "data", "b")
    assert asked == ["merge"]
    with (Contents(place, "ds").folder / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"at": []}', b'{"at": 3}', b"{}", b"\xff"])
def test_a_damaged_list_is_named(place: WorkspaceDir, content: bytes) -> None:
    put(place, "data", "a")
    contents = Contents(place, "ds")
    path = contents.folder / "1.json"
    path.write_bytes(content)
    for use in (contents.read, contents.view, contents.manifests, lambda: put(place, "x", "a")):
        with pytest.raises(StoreError) as caught:
            use()
        assert str(path) in caught.value.message
        assert caught.value.hint
    assert path.read_bytes() == content


def test_readers_are_not_disturbed_by_versions_that_go(place: WorkspaceDir, monkeypatch: pytest.MonkeyPatch) -> None:
    put(place, "data", "a")
    contents = Contents(place, "ds")
    real = read_json
    again: list[int] = []

    def slow(path: Path) -> Any:
        if not again:
            again.append(1)
            for n in range(2 * KEPT):
                put(place, f"more{n}", "a")
        return real(path)

    monkeypatch.setattr(datastores, "read_json", slow)
    number, found = contents.read()
    assert number == 1 + 2 * KEPT
    assert len(found) == 1 + 2 * KEPT


# ---- what paths mean ---------------------------------------------------------------------------------------


@pytest.fixture
def ants(place: WorkspaceDir) -> WorkspaceDir:
    """A datastore with folders, and another with the same names."""
    put(place, "data", "train/ants/1.png", "train/ants/2.png", "train/bees/3.png", "val/ants/4.png", "readme.txt")
    put(place, "", "top.csv", "odd[1]/x", "odd1/y", "what?", "what!")
    put(place, "data", "readme.txt", content="other", name="ds2")
    return place


@pytest.mark.parametrize(
    ("path", "paths", "file"),
    [
        ("data/train", ["ants/1.png", "ants/2.png", "bees/3.png"], None),
        ("data/train/ants/1.png", ["1.png"], "1.png"),
        ("top.csv", ["top.csv"], "top.csv"),
        ("data/**/*.png", ["train/ants/1.png", "train/ants/2.png", "train/bees/3.png", "val/ants/4.png"], None),
        ("data/*.txt", ["readme.txt"], None),
        ("**/4.png", ["data/val/ants/4.png"], None),
        ("data/*/ants", ["train/ants/1.png", "train/ants/2.png", "val/ants/4.png"], None),
        ("data/train/*/?.png", ["ants/1.png", "ants/2.png", "bees/3.png"], None),
        ("data/readme.txt/**", ["readme.txt"], None),
        ("odd[1]", ["x"], None),  # a name that exists wins over a pattern
        ("odd[1]/x", ["x"], None),
        ("odd?", ["odd1/y"], None),
        ("what?", ["what?"], "what?"),
    ],
)
def test_what_a_path_means(ants: WorkspaceDir, path: str, paths: list[str], file: str | None) -> None:
    assert at(ants, ("ds", path)) == paths
    found = resolve(ants, [("ds", path)])
    assert found.count == len(paths)
    if path != "odd[1]/x":
        assert found.file == file


def test_the_root_is_everything(ants: WorkspaceDir) -> None:
    assert len(at(ants, ("ds", ""))) == 10
    assert at(ants, ("ds2", "")) == ["data/readme.txt"]


def test_several_paths_keep_what_tells_them_apart(ants: WorkspaceDir) -> None:
    both = ["1.png", "2.png", "3.png"]
    assert at(ants, ("ds", "data/train"), ("ds", "data/val")) == [
        *(f"train/{folder}/{name}" for folder, name in zip(("ants", "ants", "bees"), both, strict=True)),
        "val/ants/4.png",
    ]
    assert at(ants, ("ds", "data/train"), ("ds", "data/train/ants")) == ["ants/1.png", "ants/2.png", "bees/3.png"]
    assert at(ants, ("ds", "data/train/ants/1.png"), ("ds", "data/train/ants/2.png")) == ["1.png", "2.png"]
    assert at(ants, ("ds", "data/**/*.png"), ("ds", "top.csv"))[-1] == "top.csv"


def test_several_datastores_are_told_apart(ants: WorkspaceDir) -> None:
    assert at(ants, ("ds", "data/readme.txt"), ("ds2", "data/readme.txt")) == [
        "ds/data/readme.txt",
        "ds2/data/readme.txt",
    ]


def test_one_of_several_that_is_missing_is_named(ants: WorkspaceDir) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        resolve(ants, [("ds", "data"), ("ds", "nowhere")])


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("dta", "did you mean 'data'?"),
        ("data/trian", "did you mean 'data/train'?"),
        ("data/train/ant/1.png", "did you mean 'data/train/ants'?"),
        ("data/val/zzz/*.png", "in 'data/val' there is: ants"),
        ("data/**/*.jpg", "in 'data' there is: readme.txt, train, val"),
    ],
)
def test_what_lies_near_is_said(ants: WorkspaceDir, path: str, hint: str) -> None:
    with pytest.raises(NotFound, match="on datastore 'ds'") as caught:
        resolve(ants, [("ds", path)])
    assert caught.value.hint == hint


def test_nothing_was_uploaded_yet(place: WorkspaceDir) -> None:
    for path in ("data", "", "*.png"):
        with pytest.raises(NotFound) as caught:
            resolve(place, [("ds", path)])
        assert "%upload_data" in str(caught.value.hint)


def test_an_exact_upload_is_found_without_a_new_tree(place: WorkspaceDir) -> None:
    made = tree(place, "a", "b")
    Contents(place, "ds").put("data", made, overwrite=False)
    assert resolve(place, [("ds", "data")]) == Resolved(made.id, 2, made.bytes, None)


@pytest.mark.parametrize("paths", [["data"], ["data/**/7*.png"], [f"data/{n % 100}/{n}.png" for n in range(10_000)]])
def test_ten_thousand_files_are_read_once(
    place: WorkspaceDir, monkeypatch: pytest.MonkeyPatch, paths: list[str]
) -> None:
    """However many paths are asked for, each tree and each list is read once or twice, and each file a few times."""
    put(place, "data", *(f"{n % 100}/{n}.png" for n in range(10_000)))
    counts = {"manifests": 0, "lists": 0, "matches": 0}

    def counted(name: str, real: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            counts[name] += 1
            return real(*args, **options)

        return call

    monkeypatch.setattr(snapshot, "read_manifest", counted("manifests", snapshot.read_manifest))
    monkeypatch.setattr(datastores, "read_json", counted("lists", read_json))
    monkeypatch.setattr(trees, "matches", counted("matches", trees.matches))
    found = resolve(place, [("ds", path) for path in paths])
    assert found.count == {"data": 10_000, "data/**/7*.png": 1111}.get(paths[0], 10_000)
    assert counts["manifests"] <= 2
    assert counts["lists"] == 1
    assert counts["matches"] <= 10_000
