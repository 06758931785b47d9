"""Registries: names that may be, versions that rise, what is said of them, and files that somebody damaged."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlrun.check import check
from jupyter_mlrun.errors import BadInput, Conflict, NewerStore, NotFound, StoreError
from jupyter_mlrun.rundir import read_json
from jupyter_mlrun.store import holders, registry
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.store.registry import LONGEST, Named, Versions, check_name

KINDS = ("dataset", "model", "environment")
NAMED = ("compute", "datastore")

GOOD = (
    "cifar10",
    "CIFAR-10 batches py",
    "v01",  # a name; as a version it is refused
    "1",
    "_private",
    "données",
    "данные",
    "数据",
    "a.b",
    "labels.csv",
    "x" * LONGEST,
    "console",  # begins like a device
)
BAD = (
    "",
    ".",
    "..",
    "../up",
    "a/b",
    "/etc",
    "a\\b",
    "name@3",
    "name:3",
    "latest",
    "Latest",
    "LATEST",
    "CON",
    "con",
    "nul.txt",
    "Com1",
    "lpt9.json",
    "a\0b",
    "a\n",
    "\na",
    "a\tb",
    " a",
    "a ",
    "a.",
    ".hidden",
    "-option",
    "*",
    "a?",
    "$HOME",
    "a\u202eb",  # turns what follows around
    "\udcff",
    "👍",
    "x" * 1024,
    "я" * LONGEST,
)
NO_TEXT: tuple[Any, ...] = (None, 3, True, b"name", ["name"], Path("name"))


@pytest.fixture
def place(home: Path) -> WorkspaceDir:
    return WorkspaceDir(home, "default")


def everything_below(path: Path) -> set[str]:
    return {str(one.relative_to(path)) for one in path.rglob("*")} if path.exists() else set()


@pytest.mark.parametrize("name", GOOD)
def test_names_that_may_be(place: WorkspaceDir, name: str) -> None:
    for kind in KINDS:
        made, fresh = Versions(place, kind).add(name, {"manifest": "0"})
        assert (made["name"], made["version"], fresh) == (name, 1, True)
        Versions(place, kind).annotate(name, 1, tags={"a": "b"})
        assert Versions(place, kind).names() == [name]
        Versions(place, kind).remove(name, 1)
    for kind in NAMED:
        Named(place, kind).put(name, {"type": "local"})
        assert Named(place, kind).names() == [name]
        Named(place, kind).remove(name)


@pytest.mark.parametrize("name", [*BAD, *NO_TEXT], ids=ascii)
def test_names_that_may_not_be(place: WorkspaceDir, home: Path, name: Any) -> None:
    makers: list[Callable[[], Any]] = [
        *(lambda kind=kind: Versions(place, kind).add(name, {}) for kind in KINDS),
        *(lambda kind=kind: Named(place, kind).put(name, {}) for kind in NAMED),
    ]
    for make in makers:
        with pytest.raises(BadInput) as caught:
            make()
        assert caught.value.hint
        assert caught.value.message.isprintable(), "a name that breaks the line is shown so that it does not"
    assert everything_below(home) == set(), "nothing is written for a name that cannot be"


@pytest.mark.parametrize("name", [*BAD, *NO_TEXT], ids=ascii)
def test_names_that_may_not_be_are_not_found(place: WorkspaceDir, name: Any) -> None:
    """Whoever looks for one is told that there is none, and reads nothing outside."""
    for kind in KINDS:
        assert Versions(place, kind).versions(name) == []
        with pytest.raises(NotFound):
            Versions(place, kind).get(name)
        with pytest.raises(NotFound):
            Versions(place, kind).remove(name, 1)
    for kind in NAMED:
        assert Named(place, kind).get(name) is None
        with pytest.raises(NotFound):
            Named(place, kind).remove(name)


def test_a_name_does_not_lead_outside(place: WorkspaceDir, home: Path) -> None:
    registry_of = Versions(place, "dataset")
    registry_of.add("inside", {})
    outside = place.path / "outside"
    outside.mkdir()
    (outside / "1.json").write_text("{}")
    for name in ("../outside", "inside/../../outside", str(outside)):
        with pytest.raises(NotFound):
            registry_of.get(name)
    assert (outside / "1.json").exists()


def test_the_file_of_one_is_not_the_name_of_another(place: WorkspaceDir) -> None:
    """``datastores/x.json`` is a record; what lies on a datastore of that name would stand in its place."""
    for name in ("x.json", "x.JSON"):
        with pytest.raises(BadInput, match=r"\.json"):
            Named(place, "datastore").put(name, {})
    Named(place, "datastore").put("x", {})
    (place.path / "datastores/y.json").mkdir()
    assert Named(place, "datastore").names() == ["x"]
    assert Named(place, "datastore").get("y") is None


def test_names_differ_in_more_than_case(place: WorkspaceDir) -> None:
    datasets, computes = Versions(place, "dataset"), Named(place, "compute")
    datasets.add("Straße", {"manifest": "1"})
    computes.put("GPU", {})
    for name in ("straße", "STRASSE"):
        with pytest.raises(Conflict, match="Straße"):
            datasets.add(name, {"manifest": "1"})
    with pytest.raises(Conflict, match="GPU"):
        computes.put("gpu", {})
    computes.put("GPU", {"cores": 2})
    assert datasets.names() == ["Straße"]
    assert computes.names() == ["GPU"]
    datasets.remove("Straße", 1)
    assert datasets.add("straße", {})[0]["version"] == 1, "a name that nothing has any more is free"


# ---- versions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_versions_rise_and_are_never_given_out_twice(place: WorkspaceDir, kind: str) -> None:
    found = Versions(place, kind)
    assert [found.add("a", {"manifest": str(n)})[0]["version"] for n in range(12)] == list(range(1, 13))
    assert found.get("a")["version"] == 12, "the latest by number, not by text"
    for version in (12, 3):
        found.remove("a", version)
    assert found.versions("a") == [1, 2, *range(4, 12)]
    assert found.add("a", {"manifest": "12"})[0]["version"] == 13
    for version in found.versions("a"):
        found.remove("a", version)
    assert found.names() == []
    with pytest.raises(NotFound):
        found.get("a")
    assert found.add("a", {"manifest": "13"})[0]["version"] == 14


def test_the_same_is_no_new_version(place: WorkspaceDir) -> None:
    found = Versions(place, "dataset")

    def add(manifest: str) -> tuple[int, bool]:
        record, fresh = found.add("a", {"manifest": manifest}, unless=lambda old: bool(old["manifest"] == manifest))
        return record["version"], fresh

    assert [add("1"), add("1"), add("2"), add("1")] == [(1, True), (1, False), (2, True), (3, True)]


@pytest.mark.parametrize(
    "version",
    [0, -1, 3, "01", "v01", "v1", "1.0", 1.0, "", " 1", "1 ", "²", "\u0661", "Latest", "last", "../1", True, b"1"],
)
def test_versions_that_are_none(place: WorkspaceDir, version: Any) -> None:
    for kind in KINDS:
        found = Versions(place, kind)
        found.add("a", {})
        found.add("a", {})
        with pytest.raises(NotFound, match="a") as caught:
            found.get("a", version)
        assert caught.value.hint == "it has: 1, 2"


def test_a_version_by_number_text_and_latest(place: WorkspaceDir) -> None:
    found = Versions(place, "dataset")
    for n in range(1, 4):
        found.add("a", {"manifest": str(n)})
    asked: list[int | str | None] = [2, "2", None, "latest"]
    assert [found.get("a", version)["manifest"] for version in asked] == ["2", "2", "3", "3"]
    with pytest.raises(NotFound) as caught:
        found.get("A")
    assert caught.value.hint == "did you mean 'a'?"


def test_an_id_means_one_version(place: WorkspaceDir) -> None:
    found = Versions(place, "dataset")
    made = [found.add(name, {"manifest": "same"})[0]["id"] for name in ("a", "b", "a")]
    assert len(set(made)) == 3
    assert [record["id"] for record in found.records()] == [made[0], made[2], made[1]]


def test_what_is_said_of_a_version(place: WorkspaceDir) -> None:
    found = Versions(place, "model")
    found.add("a", {"tags": {"stage": "test", "by": "me"}, "description": "first", "properties": {"loss": "1"}})
    found.add("a", {})
    now = found.annotate("a", 1, tags={"stage": "prod"}, remove_tags=["by"], properties={"epochs": "3"})
    assert now["tags"] == {"stage": "prod"}
    assert now["properties"] == {"loss": "1", "epochs": "3"}
    assert now["description"] == "first"
    assert found.annotate("a", 1, description="second")["description"] == "second"
    assert found.get("a", 2)["tags"] == {}
    with pytest.raises(NotFound):
        found.annotate("a", 3, tags={})
    found.remove("a", 1)
    assert found.add("a", {})[0]["tags"] == {}, "what was said of one that is gone is not said of another"


def test_listings_do_not_look_at_every_file_again(place: WorkspaceDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a name with many versions one folder is listed and one record read."""
    found = Versions(place, "model")
    for n in range(30):
        found.add("a", {"manifest": str(n)})
    found.add("b", {"manifest": "b"})
    looks: list[str] = []
    real_list = os.listdir

    def listed(path: Any) -> list[str]:
        looks.append("list")
        return real_list(path)

    def read(path: Any) -> Any:
        looks.append("read")
        return read_json(path)

    monkeypatch.setattr(os, "listdir", listed)
    monkeypatch.setattr(registry, "read_json", read)
    found.get("a")
    assert sorted(looks) == ["list", "read"]
    looks.clear()
    assert list(found.latest()) == ["a", "b"]
    assert sorted(looks) == ["list"] * 3 + ["read"] * 2, "the names, the versions of each, and a record of each"
    looks.clear()
    assert len(list(found.records())) == 31
    assert sorted(looks) == ["list"] * 3 + ["read"] * 31
    looks.clear()
    found.remove("a", 7)
    assert looks == []


# ---- at once -------------------------------------------------------------------------------------------------


def test_threads_that_add_and_remove_at_once(place: WorkspaceDir) -> None:
    found = Versions(place, "dataset")
    given: list[int] = []
    barrier = threading.Barrier(4)

    def work(number: int) -> None:
        barrier.wait()
        for n in range(8):
            version = found.add("a", {"manifest": f"{number}-{n}"})[0]["version"]
            given.append(version)
            if n % 2:
                found.remove("a", version)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given) == list(range(1, 33)), "a number was given out twice, or left out"
    assert len(found.versions("a")) == 16


def test_what_is_removed_while_it_is_listed_is_passed_over(
    place: WorkspaceDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Versions(place, "dataset")
    for name in ("a", "a", "b"):
        found.add(name, {"manifest": name})
    listed = {"a": [1, 2], "b": [1]}
    monkeypatch.setattr(Versions, "versions", lambda _self, name: listed[name])
    found.path("a", 2).unlink()
    found.path("b", 1).unlink()
    assert [(one["name"], one["version"]) for one in found.records()] == [("a", 1)]
    assert {name: one["version"] for name, one in found.latest().items()} == {"a": 1}
    assert list(holders.all_of(place)) == [("a", "dataset a:1")], "gc goes on"
    assert not [one for one in check(place.home) if "was removed" in str(one)], "fsck finds no fault in that"


def test_no_name_leads_to_the_file_of_another(place: WorkspaceDir) -> None:
    found = Versions(place, "dataset")
    found.add("a", {})
    for act in (found.remove, found.annotate):
        with pytest.raises(NotFound):
            act("../datasets/a", 1)
    assert found.versions("a") == [1]


# ---- files that are not as they were -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'"text"', b'{"format": "x"}', b"[" * 100_000, b'{"tags": 5}'],
    ids=range(9),
)
def test_a_damaged_record_is_named(place: WorkspaceDir, content: bytes) -> None:
    found, named = Versions(place, "dataset"), Named(place, "compute")
    found.add("a", {})
    named.put("c", {})
    path, other = found.path("a", 1), place.path / "computes/c.json"
    path.write_bytes(content)
    other.write_bytes(content)
    reads: list[tuple[Callable[[], Any], Path]] = [(lambda: found.get("a"), path), (lambda: named.get("c"), other)]
    for read, where in reads:
        with pytest.raises(StoreError) as caught:
            read()
        assert str(where) in caught.value.message
        assert caught.value.hint


@pytest.mark.parametrize(
    "change",
    [{"manifest": None}, {"manifest": 5}, {"count": "1"}, {"paths": 3}, {"properties": [1]}, {"created": "today"}],
    ids=str,
)
def test_a_part_of_another_kind_is_named(place: WorkspaceDir, change: dict[str, Any]) -> None:
    found = Versions(place, "dataset")
    found.add("a", {"manifest": "x", "count": 1})
    found.path("a", 1).write_text(json.dumps({**read_json(found.path("a", 1)), **change}))
    with pytest.raises(StoreError, match=f"1.json is damaged: '{next(iter(change))}'"):
        found.get("a")


def test_a_part_that_somebody_took_out_is_named(place: WorkspaceDir) -> None:
    found = Versions(place, "model")
    found.add("a", {"root": "x"})
    assert found.get("a")["root"] == "x"
    with pytest.raises(StoreError, match=r"model.json is damaged: it has no 'manifest'"):
        found.get("a")["manifest"]


def test_a_record_is_what_its_file_is_called(place: WorkspaceDir) -> None:
    """Somebody has copied it by hand."""
    found = Versions(place, "dataset")
    found.add("a", {})
    found.add("b", {})
    found.path("b", 1).write_bytes(found.path("a", 1).read_bytes())
    found.path("b", 3).write_bytes(found.path("a", 1).read_bytes())
    assert [(one["name"], one["version"]) for one in found.records()] == [("a", 1), ("b", 1), ("b", 3)]


def test_what_was_said_in_another_kind_is_passed_over(place: WorkspaceDir) -> None:
    found = Versions(place, "dataset")
    found.add("a", {})
    found.annotate("a", 1, tags={"x": "1"}, description="d")
    with found.notes_of("a", 1).open("a") as file:
        file.write('[1]\n"x"\n{"tags": 5}\n{"tags": {"y": 2}, "description": {"d": 1}}\n')
    record = found.get("a")
    assert (record["tags"], record["description"]) == ({"x": "1", "y": "2"}, "d")


def test_what_a_newer_program_wrote_is_left_alone(place: WorkspaceDir) -> None:
    found = Versions(place, "dataset")
    found.add("a", {})
    path = found.path("a", 1)
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    before = path.read_bytes()
    with pytest.raises(NewerStore, match="99"):
        found.get("a")
    with pytest.raises(NewerStore):
        found.add("a", {}, unless=lambda _: False)
    assert path.read_bytes() == before


def test_foreign_files_are_no_versions(place: WorkspaceDir) -> None:
    found = Versions(place, "dataset")
    found.add("a", {})
    for name in ("01.json", "2.txt", "x.json", "3.json.bak", ".4.json", "²5.json", "1.notes.jsonl"):
        (place.path / "datasets/a" / name).write_text("{}")
    (place.path / "datasets/README").write_text("not a data set")
    (place.path / "datasets/empty").mkdir()
    assert found.names() == ["a"]
    assert found.versions("a") == [1]
    (place.path / "models/m/1").mkdir(parents=True)
    assert Versions(place, "model").names() == [], "a registration that was killed before its record"
    assert Versions(place, "model").add("m", {})[0]["version"] == 1


def test_what_cannot_be_written_is_said(place: WorkspaceDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: Any, **_options: Any) -> bool:
        raise OSError(28, "No space left on device")

    Versions(place, "dataset").add("a", {})
    monkeypatch.setattr(registry, "write_once", full)
    monkeypatch.setattr(registry, "write_atomic", full)
    for make in (
        lambda: Versions(place, "dataset").add("a", {}),
        lambda: Named(place, "compute").put("c", {}),
        lambda: Named(place, "compute").put("c", {}, replace=False),
    ):
        with pytest.raises(StoreError, match="No space left") as caught:
            make()
        assert caught.value.hint
    assert Versions(place, "dataset").versions("a") == [1]


def test_a_home_says_that_it_has_registries(place: WorkspaceDir, home: Path) -> None:
    place.make()
    assert json.loads((home / "format.json").read_text())["format"] == 1
    Versions(place, "environment").add("a", {})
    assert json.loads((home / "format.json").read_text())["format"] == 2


def test_files_are_private(place: WorkspaceDir) -> None:
    Versions(place, "dataset").add("a", {})
    Versions(place, "dataset").annotate("a", 1, tags={"a": "b"})
    Versions(place, "dataset").remove("a", 1)
    Versions(place, "dataset").add("a", {})
    Named(place, "compute").put("c", {})
    for path in (place.path / "datasets").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    assert (place.path / "computes/c.json").stat().st_mode & 0o077 == 0


def test_one_that_is_there_is_kept_unless_it_may_be_replaced(place: WorkspaceDir) -> None:
    found = Named(place, "compute")
    found.put("c", {"cores": 1}, replace=False)
    with pytest.raises(Conflict, match="c"):
        found.put("c", {"cores": 2}, replace=False)
    record = found.get("c")
    assert record is not None
    assert record["cores"] == 1
    found.put("c", {"cores": 3})
    record = found.get("c")
    assert record is not None
    assert record["cores"] == 3
    found.remove("c")
    assert found.names() == []


def test_check_name_gives_the_name() -> None:
    assert check_name("model", "resnet") == "resnet"
