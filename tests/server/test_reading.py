"""What the routes that read answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.server import trace
from jupyter_mlrun.server.api_runs import MOST_COMPARED
from jupyter_mlrun.store import snapshot
from jupyter_mlrun.store.home import WorkspaceDir
from jupyter_mlrun.store.packs import ObjectStore
from jupyter_mlrun.worker.segment import MetricWriter
from tests.runs import ended_run, recorded_run
from tests.server.conftest import Server

CELL = "# written\nx = 1\nraise ValueError('no')\n"
LOG = """starting
Traceback (most recent call last):
  File "/x/first.py", line 1, in <module>
ValueError: an earlier one
going on
Traceback (most recent call last):
  File "{work}/cell.py", line 3, in <module>
    raise ValueError('no')
          ^^^^^^^^^^^^^^^^
  File "{work}/pkg/inner.py", line 7, in step
    inner()
  [Previous line repeated 3 more times]
  File "/usr/lib/python3.11/json/decoder.py", line 5, in decode
    \x1b[31mboom()\x1b[0m
ValueError: no
"""


def ids(answer: Any) -> list[str]:
    return [row["id"].rpartition("_")[2].lstrip("0") or "0" for row in answer["runs"]]


def with_snapshot(place: WorkspaceDir, number: int, files: dict[str, bytes], **more: Any) -> RunDir:
    """A run that has ended, with these files as its code."""
    taken = snapshot.take(ObjectStore(place.objects), None, extra=files)
    known = {"id": taken.id, "files": taken.count, "bytes": taken.bytes}
    return ended_run(place, number=number, snapshot=known, **more)


@pytest.fixture
def many(place: WorkspaceDir) -> None:
    """Ten runs: of two experiments, every third failed, with a metric that falls."""
    for number in range(10):
        run = ended_run(
            place, number=number, experiment="even" if number % 2 == 0 else "odd", code=int(number % 3 == 0),
            target="cpu-cluster" if number == 4 else "local", tags={"stage": "a" if number < 5 else "b"},
            display_name=f"run {9 - number}", parameters={"lr": {"text": f"0.{number}", "value": number / 10}},
        )  # fmt: skip
        writer = MetricWriter(str(run.metrics))
        if number != 7:
            writer.log("loss", float(10 - number))
        writer.log("note", "a text")
        writer.close()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "9876543210"), ("?sort=created", "0123456789"), ("?limit=3&offset=2", "765"), ("?experiment=odd", "97531"),
        ("?status=failed", "9630"), ("?status=over&experiment=odd", "97531"), ("?status=active", ""),
        ("?status=Failed,Completed&limit=2", "98"), ("?text=even+LR=0.4", "4"), ("?text=nothing", ""),
        ("?tag=stage=a", "43210"), ("?tag=stage&limit=1", "9"), ("?tag=stage=a,other", ""),
        ("?compute=cpu-cluster", "4"),
        ("?sort=name", "9876543210"), ("?sort=-name", "0123456789"), ("?sort=experiment&limit=6", "864209"),
        ("?sort=metric:loss", "9865432107"), ("?sort=-metric:loss&limit=2", "01"), ("?sort=status&limit=6", "875421"),
        ("?limit=0", ""), ("?offset=100", ""),
    ],
)  # fmt: skip
def test_questions(server: Server, many: None, query: str, expected: str) -> None:
    server.get("api/runs")  # the metrics of what ended are read when it is first shown
    answer = server.get(f"api/runs{query}")
    assert answer.status == 200, answer.body
    assert "".join(ids(answer.json)) == expected


def test_counts_are_of_what_the_other_filters_leave(server: Server, many: None) -> None:
    found = server.get("api/runs?status=failed&experiment=odd&limit=1").json
    assert found["total"] == 2
    assert found["counts"] == {"Failed": 2, "Completed": 3}
    assert found["experiments"] == [
        {"name": "even", "runs": 2, "active": 0},
        {"name": "odd", "runs": 2, "active": 0},
    ]


def test_a_row(server: Server, place: WorkspaceDir) -> None:
    run = recorded_run(place, number=3, parameters={"lr": {"text": "1e-3", "value": 0.001}}, notebook="a.ipynb")
    (row,) = server.get("api/runs").json["runs"]
    assert row == {
        "id": run.run_id, "name": "name 3", "experiment": "exp", "kind": "script", "status": "NotStarted",
        "shown": "NotStarted", "reason": None, "waiting": None, "created": 1_700_000_003.0, "started": None,
        "ended": None, "over": False, "can_stop": True, "target": "local", "by": "somebody", "tags": {"number": "3"},
        "parameters": {"lr": "1e-3"}, "primary": None, "metrics": {}, "progress": None, "fraction": None,
        "parent": None, "notebook": "a.ipynb",
    }  # fmt: skip


def test_lists_follow_the_files(server: Server, place: WorkspaceDir) -> None:
    assert server.get("api/runs").json["total"] == 0
    run = ended_run(place, number=1)
    assert server.get("api/runs").json["total"] == 1
    run_id = run.run_id
    run.annotations.write_text(json.dumps({"tags": {"new": "1"}, "display_name": "another"}) + "\n")
    (row,) = server.get("api/runs").json["runs"]
    assert (row["name"], row["tags"]) == ("another", {"number": "1", "new": "1"})
    assert server.ask("DELETE", f"api/runs/{run_id}").status == 200
    assert server.get("api/runs").json["total"] == 0
    assert server.get(f"api/runs/{run_id}").status == 404


def test_a_primary_metric_and_its_curve(server: Server, place: WorkspaceDir) -> None:
    run = ended_run(place, number=1, tags={"primary_metric": "f1"})
    writer = MetricWriter(str(run.metrics))
    for n in range(1000):
        writer.log("loss", 1.0)
        writer.log("f1", float(n))
    writer.log("bad", float("nan"))
    writer.close()
    (row,) = server.get("api/runs").json["runs"]
    assert (row["primary"]["name"], row["primary"]["last"]) == ("f1", "999")
    spark = row["primary"]["spark"]
    assert 20 <= len(spark) <= 40
    assert spark == sorted(spark)
    assert row["metrics"]["bad"] == "nan"


# ---- one run ---------------------------------------------------------------------------------------------------


def test_everything_of_a_run(server: Server, place: WorkspaceDir) -> None:
    run = with_snapshot(
        place, 1, {"cell.py": CELL.encode()}, kind="cell", script="cell.py", code=1,
        git={"commit": "a" * 40, "branch": "main", "dirty": True, "remote": None}, env_names=["PATH"],
    )  # fmt: skip
    run.log().write_text(LOG.format(work=run.path / "work"))
    child = ended_run(place, number=2, parent=run.run_id)
    found = server.get(f"api/runs/{run.run_id}").json
    assert found["cell"] == CELL
    assert found["git"]["dirty"]
    assert found["variables"] == ["PATH"]
    assert found["children"] == 1
    end = found["end"]
    assert (end["status"], end["exit_code"], end["error"]) == ("Failed", 1, "ValueError: no")
    assert [(one["file"], one["line"], one["cell_line"], one["code"]) for one in end["traceback"]] == [
        ("cell.py", 3, 3, "cell.py"),
        ("pkg/inner.py", 7, None, "pkg/inner.py"),
        ("/usr/lib/python3.11/json/decoder.py", 5, None, None),
    ]
    assert end["traceback"][2]["text"] == "boom()"
    assert [row["id"] for row in server.get(f"api/runs/{run.run_id}/children").json["runs"]] == [child.run_id]
    assert server.get(f"api/runs?parent={run.run_id}").json["total"] == 1


def test_the_cell_of_a_script_that_runs_it() -> None:
    class Spec:
        kind, script = "cell", "cell_main.py"

    text = "# Written by jupyter_mlrun: what the cell needs; then it runs the cell itself, cell_1.py.\n"
    assert trace.cell_file(Spec(), text) == "cell_1.py"  # type: ignore[arg-type]  # as far as it is read
    assert trace.cell_file(Spec(), None) == "cell_main.py"  # type: ignore[arg-type]


def test_metrics(server: Server, place: WorkspaceDir) -> None:
    run = ended_run(place, number=1)
    writer = MetricWriter(str(run.metrics))
    for n in range(100):
        writer.log("loss", float("nan") if n == 50 else float(n), step=n)
    writer.log("note", "text")
    writer.close()
    base = f"api/runs/{run.run_id}/metrics"
    listed = server.get(base).json["metrics"]
    assert [(one["name"], one["kind"], one["count"]) for one in listed] == [
        ("loss", "number", 100),
        ("note", "text", 1),
    ]
    found = server.get(f"{base}?name=loss&from=45&to=55").json
    assert (found["exact"], found["x"][0], found["x"][-1], found["last"][6]) == (True, 44.0, 56.0, "NaN")
    found = server.get(f"{base}?name=loss&buckets=10").json
    assert (found["exact"], found["count"], found["min"][0], found["max"][0]) == (False, 10, 0.0, 9.0)
    assert server.get(f"{base}?name=none").status == 404
    assert server.get(f"{base}?name=loss&from=x").status == 400


def test_lines_and_search(server: Server, place: WorkspaceDir) -> None:
    run = ended_run(place, number=1)
    run.log().write_bytes(b"".join(b"line %d\n" % n for n in range(3000)) + b"rest")
    base = f"api/runs/{run.run_id}"
    found = server.get(f"{base}/lines?from=2998").json
    assert found == {"from": 2998, "lines": ["line 2998", "line 2999", "rest"], "total": 3001, "partial": True}
    assert len(server.get(f"{base}/lines?to=100000").json["lines"]) == 2000
    assert server.get(f"{base}/search?text=LINE+1234").json["line"] == 1234
    assert server.get(f"{base}/search?text=line+1&from=20&backward=1").json["line"] == 19
    assert server.get(f"{base}/search?text=nowhere").json == {"line": None, "total": 3001, "next": None}
    assert server.get(f"{base}/lines?log=1").status == 404
    assert server.get(f"{base}/search").status == 400


def test_ranges_of_a_file(server: Server, place: WorkspaceDir) -> None:
    run = ended_run(place, number=1)
    (run.outputs / "data.bin").write_bytes(bytes(range(100)))
    path = f"api/runs/{run.run_id}/file?path=outputs/data.bin"

    def part(asked: str) -> tuple[int, bytes, str | None]:
        answer = server.get(path, headers={"Range": asked})
        return answer.status, answer.body, answer.headers["Content-Range"]

    assert part("bytes=10-12") == (206, bytes([10, 11, 12]), "bytes 10-12/100")
    assert part("bytes=98-") == (206, bytes([98, 99]), "bytes 98-99/100")
    assert part("bytes=-3") == (206, bytes([97, 98, 99]), "bytes 97-99/100")
    assert part("bytes=90-500")[0:1] == (206,)
    assert part("bytes=100-")[0] == 416
    assert part("bytes=5-2")[0] == 416
    assert part("lines=1-2")[0] == part("bytes=0-1,5-6")[0] == 200
    head = server.ask("HEAD", path)
    assert (head.status, head.headers["Content-Length"], head.body) == (200, "100", b"")


def test_code_and_differences(server: Server, place: WorkspaceDir) -> None:
    same = {"same.py": b"1\n", "bin.dat": b"\0\1"}
    lr = {"lr": {"text": "0.1", "value": 0.1}}
    a = with_snapshot(place, 1, {**same, "train.py": b"a\nb\nc\n", "old.py": b"x\n"}, parameters=lr)
    b = with_snapshot(place, 2, {**same, "train.py": b"a\nB\nc\n", "new.py": b"y\n", "bin.dat": b"\0\2"})
    base = f"api/runs/{a.run_id}/code"
    assert [one["path"] for one in server.get(base).json["files"]] == ["bin.dat", "old.py", "same.py", "train.py"]
    assert server.get(f"{base}/file?path=train.py&preview=1").body == b"a\nb\nc\n"
    assert server.get(f"{base}/file?path=none.py").status == 404
    found = server.get(f"api/diff?a={a.run_id}&b={b.run_id}").json
    files = {one["path"]: one for one in found["files"]}
    assert {path: one["status"] for path, one in files.items()} == {
        "bin.dat": "changed", "new.py": "added", "old.py": "removed", "train.py": "changed",
    }  # fmt: skip
    assert "-b\n+B\n" in files["train.py"]["diff"]
    assert files["bin.dat"]["why"] == "it is no text"
    assert found["same"] == 1
    assert found["parameters"] == [{"name": "lr", "a": "0.1", "b": None}]
    assert server.get(f"api/diff?a={a.run_id}&b=exp_1_00000000").status == 404


def test_runs_beside_one_another(server: Server, many: None) -> None:
    every = [row["id"] for row in server.get("api/runs?sort=created").json["runs"]]
    found = server.get(f"api/compare?runs={every[1]},{every[2]}").json
    rows = {(one["section"], one["name"]): one for one in found["rows"]}
    assert rows["parameters", "lr"] == {
        "section": "parameters",
        "name": "lr",
        "values": ["0.1", "0.2"],
        "differs": True,
    }
    assert not rows["run", "compute"]["differs"]
    assert found["metrics"] == ["loss", "note"]
    assert server.get("api/compare?runs=").status == 400
    too_many = ",".join(f"exp_{n}_00000000" for n in range(MOST_COMPARED + 1))
    assert server.get(f"api/compare?runs={too_many}").status == 400


def test_what_it_used(server: Server, place: WorkspaceDir) -> None:
    run = ended_run(place, number=1)
    assert server.get(f"api/runs/{run.run_id}/system").json == {"facts": [], "series": []}
    lines: list[dict[str, Any]] = [{"format": 1, "cores": 2, "memory": 8_000_000_000, "gpus": []}]
    lines += [{"time": 100.0 + n, "mono": float(n), "cpu": n / 2, "memory": 1000 * n} for n in range(2000)]
    run.system.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = server.get(f"api/runs/{run.run_id}/system").json
    cpu = next(one for one in found["series"] if one["name"] == "cpu")
    assert cpu["unit"] == "%"
    assert len(cpu["values"]) <= 600
    assert ["CPU cores", "2"] in found["facts"]


# ---- the rest --------------------------------------------------------------------------------------------------


def test_the_machine(server: Server, place: WorkspaceDir) -> None:
    recorded_run(place, number=1)
    found = server.get("api/machine").json
    assert found["memory"]["total"] > 0
    assert found["cpu"]["cores"] >= 1
    assert found["queues"][0]["compute"] == "local"
    assert found["agent"] is False


def test_the_form(server: Server, many: None) -> None:
    cell = "%%submit -e x\n%matplotlib inline\nlr = 0.1\nnames: list = ['a']\nmodel = make()\nepochs = 3\n"
    from urllib.parse import quote

    found = server.get(f"api/submit-form?cell={quote(cell)}").json
    assert found["parameters"] == [["lr", "0.1"], ["names", "['a']"], ["epochs", "3"]]
    assert [one["name"] for one in found["computes"]] == ["cpu-cluster", "local"]
    assert found["experiments"] == ["even", "odd"]
    assert {one["name"] for one in found["options"]} > {"experiment", "gpus", "use"}
    assert server.get("api/complete?cell=not+python(").json["parameters"] == []


def test_who_answers(server: Server, place: WorkspaceDir) -> None:
    found = server.get("api/about").json
    assert (found["workspace"], found["workspaces"], found["home"]) == ("default", ["default"], str(place.home))
    assert found["can_write"]
    assert found["can_execute"]


def test_pages_hold_no_token(server: Server, place: WorkspaceDir) -> None:
    run = ended_run(place, number=1)
    for path in ("", f"runs/{run.run_id}"):
        answer = server.get(path)
        assert answer.status == 200
        assert b"a-token-of-this-test" not in answer.body
        config = answer.body.partition(b'id="jupyter-mlrun-config">')[2].partition(b"</script>")[0]
        assert json.loads(config)["baseUrl"] == "/"
    assert server.get("runs/exp_1_00000000").status == 404
    assert server.ask("GET", "/jupyter-mlrun").status == 302


def test_a_script_of_the_page_is_served(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jupyter_mlrun.server import pages

    (tmp_path / "page.js").write_text("1")
    monkeypatch.setattr(pages, "STATIC", tmp_path)
    answer = server.get("static/page.js")
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert server.get("static/page.js", headers={"If-None-Match": answer.headers["Etag"]}).status == 304
    for name in ("..%2fpages.py", "none.js", ".hidden.js", "page.py", "a/../page.js", "%2e%2e/x.js"):
        assert server.get(f"static/{name}").status == 404, name
    assert b'src="/jupyter-mlrun/static/page.js"' in server.get("").body
