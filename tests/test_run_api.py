"""``Run`` as the reference has it: every name, the shapes of metrics, notes, and what happens to misuse."""

from __future__ import annotations

import inspect
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jupyter_mlrun import BadInput, Conflict, Experiment, NotFound, Run, Workspace
from jupyter_mlrun.agent import client
from jupyter_mlrun.errors import AgentError
from jupyter_mlrun.store.series import MetricReader
from tests.support import finish, log_of, submit_cell, until

# the reference's public members of Run, with their parameters in order
MEMBERS = """
get_context(allow_offline, used_for_context_manager) get_submitted_run() get_secret(name) get_secrets(secrets)
add_type_provider(runtype, run_factory) list(experiment, type, tags, properties, status, include_children)
list_by_compute(compute, type, tags, properties, status) get(workspace, run_id) submit_child(config, tags)
wait_for_completion(show_output, wait_post_processing, raise_on_error) clean() get_all_logs(destination)
get_details_with_logs() get_status() get_detailed_status() get_environment() get_details()
get_children(recursive, tags, properties, type, status) get_metrics(name, recursive, run_type, populate) start()
complete() fail(error_details, error_code) cancel() flush(timeout_seconds) child_run(name, run_id, outputs)
create_children(count, tag_key, tag_values) tag(key, value) set_tags(tags) get_tags() remove_tags(tags)
add_properties(properties) get_properties() log(name, value, description, step) log_list(name, value, description)
log_row(name, description) log_table(name, value, description) log_confusion_matrix(name, value, description)
log_accuracy_table(name, value, description) log_residuals(name, value, description)
log_predictions(name, value, description) log_image(name, path, plot, description)
upload_file(name, path_or_stream, datastore_name) upload_folder(name, path, datastore_name)
upload_files(names, paths, return_artifacts, timeout_seconds, datastore_name) get_file_names()
download_file(name, output_file_path)
download_files(prefix, output_directory, output_paths, batch_size, append_prefix, timeout_seconds)
take_snapshot(file_or_folder_path) restore_snapshot(snapshot_id, path) get_snapshot_id()
register_model(model_name, model_path, tags, properties, model_framework, model_framework_version, description,
datasets, sample_input_dataset, sample_output_dataset, resource_configuration) get_portal_url()
"""
PROPERTIES = "id name display_name description type number parent status experiment tags properties input_datasets"
HOSTILE = "<script>alert('x')</script> \" & здесь \u202e\n" + "x" * 2000


@pytest.fixture
def run(home: Path, tmp_path: Path) -> Iterator[Run]:
    """An interactive run in a folder of its own."""
    folder = tmp_path / "project"
    folder.mkdir()
    os.chdir(folder)
    run = Experiment(Workspace(), "api").start_logging(snapshot_directory=None)
    yield run
    if run.path.is_dir():
        run.complete()


@pytest.mark.parametrize("member", [m.strip() for m in MEMBERS.replace("\n", " ").split(")") if m.strip()])
def test_every_method_of_the_reference_is_there(member: str) -> None:
    name, _, parameters = member.partition("(")
    found = [p for p in inspect.signature(getattr(Run, name)).parameters.values() if p.kind is not p.VAR_KEYWORD]
    names = [p.name for p in found if not p.name.startswith("_") and p.name != "self"]
    assert names == [p.strip() for p in parameters.split(",") if p.strip()]


@pytest.mark.parametrize("name", PROPERTIES.split())
def test_every_property_of_the_reference_is_there(run: Run, name: str) -> None:
    getattr(run, name)


def test_what_is_not_here_names_what_is(run: Run) -> None:
    with pytest.raises(NotImplementedError, match="is not here: pass secrets as variables"):
        run.get_secret("x")
    with pytest.raises(NotImplementedError, match="is not here: pass secrets as variables"):
        run.get_secrets(["x"])
    with pytest.raises(NotImplementedError, match="is not here: all runs are Run"):
        Run.add_type_provider("x", Run)


def test_shapes_of_metrics(run: Run) -> None:
    run.log("once", 1)
    for value in (0.5, 0.25):
        run.log("several", value, step=7)
    run.log_list("list of one", [3])
    run.log_list("empty", [])
    run.log_list("generator", (i for i in range(3)))
    run.log_list("array", np.arange(2))
    run.log_row("row", "described", x=1, y="a")
    for x in (1, 2):
        run.log_row("rows", x=x, square=x * x)
    run.log_table("table", {"a": [1, 2], "b": [3.5, None]})
    run.log_table("scalars", {"a": 1, "b": True})
    assert run.get_metrics() == {
        "once": 1, "several": [0.5, 0.25], "list of one": [3], "empty": [], "generator": [0, 1, 2], "array": [0, 1],
        "row": {"x": 1, "y": "a"}, "rows": {"x": [1, 2], "square": [1, 4]},
        "table": {"a": [1, 2], "b": [3.5, None]}, "scalars": {"a": 1, "b": True},
    }  # fmt: skip
    assert run.get_metrics("several") == {"several": [0.5, 0.25]}
    assert run.get_metrics(name="unknown") == {}


def test_rows_of_other_columns_and_tables_twice(run: Run) -> None:
    run.log_row("r", x=1)
    run.log_row("r", y=2)
    run.log_table("t", {"a": [1, 2]})
    run.log_table("t", {"a": [3], "b": [4]})
    run.log_list("l", [1])
    run.log_list("l", [2, 3])
    assert run.get_metrics() == {
        "r": {"x": [1, None], "y": [None, 2]}, "t": {"a": [1, 2, 3], "b": [None, None, 4]}, "l": [1, 2, 3],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (np.int64(5), 5), (np.int32(5), 5), (np.uint8(5), 5), (np.float32(0.5), 0.5), (np.float64(0.5), 0.5),
        (np.bool_(True), True), (np.str_("a"), "a"), (np.array([2.5]), 2.5), (2**70, 2**70), ("text", "text"),
        (None, None), (False, False), (math.inf, math.inf),
    ],
    ids=repr,
)  # fmt: skip
def test_numbers_stay_numbers(run: Run, value: object, stored: object) -> None:
    run.log("m", value)
    run.log_row("r", m=value)
    run.log_list("l", [value, value])
    found = run.get_metrics()
    assert (found["m"], found["r"]["m"], found["l"]) == (stored, stored, [stored, stored])
    assert type(found["m"]) is type(stored)


def test_nan_stays_nan(run: Run) -> None:
    run.log("m", math.nan)
    run.log_row("r", m=math.nan)
    assert math.isnan(run.get_metrics()["m"])
    assert math.isnan(run.get_metrics()["r"]["m"])


MISUSE = [
    lambda run: run.log("m", object()),
    lambda run: run.log("m", [1, 2]),
    lambda run: run.log("", 1),
    lambda run: run.log_list("m", 3),
    lambda run: run.log_list("m", [object()]),
    lambda run: run.log_row("m"),
    lambda run: run.log_row("m", x=[1]),
    lambda run: run.log_table("m", [1]),
    lambda run: run.log_table("m", {"a": [1, 2], "b": [1]}),
    lambda run: run.log_image("m"),
    lambda run: run.log_image("m", path="nowhere.png"),
    lambda run: run.log_image("m", path="a.png", plot=object()),
    lambda run: run.log_image("m", plot=object()),
    lambda run: run.log_confusion_matrix("m", "no json"),
    lambda run: run.log_residuals("m", {"schema_type": "predictions", "schema_version": "v1", "data": {}}),
    lambda run: run.log_predictions("m", {"data": {}}),
    lambda run: run.log_accuracy_table("m", 3),
]


@pytest.mark.parametrize("number", range(len(MISUSE)))
def test_misuse_is_counted_and_said_once(run: Run, capfd: pytest.CaptureFixture[str], number: int) -> None:
    for _ in range(3):
        MISUSE[number](run)
    run.log("good", 1)
    assert run.get_metrics()["good"] == 1
    assert "m" not in run.get_metrics()
    reader = MetricReader(run.directory.metrics)
    reader.refresh()
    assert reader.misused == 3
    assert capfd.readouterr().err.count("jupyter_mlrun: ") == 1
    assert [w["message"][:7] for w in run.get_details()["warnings"]] == ["3 calls"]


def test_strict_raises(home: Path, tmp_path: Path) -> None:
    code = (
        "from jupyter_mlrun import Run, BadInput\nrun = Run.get_context()\n"
        "for call in (lambda: run.log('m', [1]), lambda: run.log_table('m', 3), lambda: run.log_image('m')):\n"
        "    try:\n        call()\n    except BadInput: print('raised')\n"
    )
    env = {**os.environ, "JUPYTER_MLRUN_STRICT": "1"}
    said = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert said.stdout.split() == ["raised"] * 3


def test_images_of_any_name_are_kept(run: Run) -> None:
    odd = Path(f"a.{'x' * 200}\n")
    odd.write_bytes(b"png")
    for name in ("ж" * 200, "\ud800", "../..", "<b>"):
        run.log_image(name, path=odd)
    assert len(run.get_metrics()) == 4
    files = run.get_file_names()
    assert len(files) == 4
    assert not [name for name in files if "/" in name or "\n" in name or len(name.encode()) > 200]


def test_images_and_documents_are_artifacts(run: Run) -> None:
    class Plot:
        def savefig(self, file: object, format: str) -> None:  # noqa: A002 -- matplotlib's name
            assert format == "png"
            file.write(b"png")  # type: ignore[attr-defined]

    Path("a.jpg").write_bytes(b"jpg")
    run.log_image("plot/of it", plot=Plot())
    run.log_image("file", path="a.jpg")
    matrix = {"schema_type": "confusion_matrix", "schema_version": "v1", "data": {"matrix": [[1, 0], [0, 1]]}}
    run.log_confusion_matrix("matrix", json.dumps(matrix))
    found = run.get_metrics()
    assert all(address.startswith(f"aml://artifactId/ExperimentRun/dcid.{run.id}/") for address in found.values())
    names = run.get_file_names()
    assert [name.rsplit("_", 1)[0] for name in names] == ["file", "matrix", "plot_of_it"]
    assert Path(run.download_file(names[0])).read_bytes() == b"jpg"
    assert run.get_metrics(populate=True)["matrix"] == matrix
    assert run.get_metrics(populate=True)["file"] == found["file"]


def test_tags_properties_and_names(run: Run) -> None:
    run.tag("stage", "test")
    run.tag("alone")
    run.set_tags({"n": 3})
    run.remove_tags(["alone", "never there"])
    assert run.tags == run.get_tags() == run.spec.tags == {"stage": "test", "n": "3"}
    run.add_properties({"commit": "abc"})
    run.add_properties({"commit": "abc"})
    with pytest.raises(Conflict, match="'commit' is 'abc' already"):
        run.add_properties({"commit": "def", "other": "x"})
    assert run.properties == {"commit": "abc"}
    run.display_name, run.description = "a name", "words"
    again = Run.get(Workspace(), run.id)
    assert (again.display_name, again.name, again.description) == ("a name", "a name", "words")
    with pytest.raises(BadInput, match="tags are given as a dict"):
        run.set_tags(["a"])
    with pytest.raises(BadInput, match="is no name among tags"):
        run.tag("")


def test_hostile_words_are_kept_and_shown_as_text(run: Run) -> None:
    run.tag(HOSTILE, HOSTILE)
    run.tag("surrogate", "\ud800")
    run.add_properties({HOSTILE: HOSTILE})
    run.display_name = HOSTILE
    run.log(HOSTILE, HOSTILE)
    run.log_row("row", **{HOSTILE: HOSTILE})
    assert run.tags[HOSTILE] == HOSTILE
    assert run.get_metrics()["row"] == {HOSTILE: HOSTILE}
    for shown in (run._repr_html_(), run._repr_mimebundle_()["text/html"]):
        assert "<script>" not in shown
    json.dumps(run.get_details())


def test_ten_thousand_metrics(run: Run) -> None:
    for number in range(10_000):
        run.log(f"metric {number}", number)
    assert run.get_metrics() == {f"metric {number}": number for number in range(10_000)}


def test_details(run: Run) -> None:
    details = run.get_details()
    assert details.status == details["status"] == run.get_status() == run.status == "Running"
    assert {"runId", "target", "startTimeUtc", "properties", "inputDatasets", "outputDatasets", "runDefinition",
            "logFiles", "submittedBy", "warnings"} <= details.keys()  # fmt: skip
    assert "endTimeUtc" not in details
    assert "error" not in details
    run.fail("no luck", "E1")
    assert run.get_details()["error"]["message"] == "E1: no luck"
    assert run.get_details()["endTimeUtc"] > details["startTimeUtc"]
    assert run.get_detailed_status() == {"status": "Failed", "details": "E1: no luck"}
    with pytest.raises(AttributeError):
        _ = details.nonsense


def test_inputs_are_paths_by_name(run: Run) -> None:
    assert run.input_datasets == {}
    inputs = {"data": {"path": "/somewhere/data", "mode": "mount", "tree": "/tree"}}
    run.directory.input_paths.write_text(json.dumps({"inputs": inputs, "links": []}))
    assert run.input_datasets == {"data": "/somewhere/data"}
    assert run.input_datasets["data"] == "/somewhere/data"
    with pytest.raises(KeyError, match="no input 'other'; it has: data"):
        _ = run.input_datasets["other"]
    with pytest.raises(KeyError, match=r"write to \./outputs"):
        _ = run.output_datasets["model"]


def test_the_environment_it_ran_in(run: Run) -> None:
    found = run.get_environment()
    assert (found.name, found.python.interpreter_path) == ("this interpreter", sys.executable)


def test_looks(run: Run) -> None:
    assert repr(run) == f"Run(Experiment: api,\nId: {run.id},\nType: None,\nStatus: Running)"
    html = run._repr_html_()
    for word in ("Experiment", "Id", "Type", "Status", "Details Page", "Docs Page", run.id):
        assert f">{word}<" in html


def test_snapshots(run: Run) -> None:
    assert run.get_snapshot_id() is None
    with pytest.raises(NotFound, match="has no snapshot"):
        run.restore_snapshot()
    Path("code").mkdir()
    Path("code/a.py").write_text("print()")
    taken = run.take_snapshot("code")
    assert run.get_snapshot_id() == taken == run.get_details()["properties"]["ContentSnapshotId"]
    with pytest.raises(Conflict, match="has a snapshot already"):
        run.take_snapshot("code")
    import zipfile

    path = run.restore_snapshot(path="there")
    assert path == f"there/{taken}.zip"
    assert zipfile.ZipFile(path).read("a.py") == b"print()"


def test_a_removed_run_warns_and_makes_nothing(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run.complete()
    run.delete()
    run.log("m", 1)
    assert "the run's folder is gone" in capsys.readouterr().err
    assert not run.path.exists()
    with pytest.raises(NotFound, match="folder is gone"):
        run.tag("a")


INSIDE = """
from jupyter_mlrun import Run
run = Run.get_context()
again = Run.get_submitted_run(allow_offline=True)
assert run == again and type(run) is Run
run.log_row("row", x=1)
run.tag("inside", "yes")
run.add_properties({"made": "here"})
open("outputs/m.txt", "w").write("model")
run.upload_file("outputs/n.txt", "outputs/m.txt")
run.upload_file("outputs/m.txt", "outputs/m.txt")
child = run.child_run("kid")
with child:
    child.log("loss", 0.5)
print(run.get_file_names(), run.experiment.name, dict(run.input_datasets), run.get_metrics())
try:
    run.input_datasets["x"]
except KeyError as problem:
    print(problem)
try:
    run.wait_for_completion()
except Exception as problem:
    print(problem)
run.complete()
"""


def test_the_whole_api_in_a_submitted_run(home: Path) -> None:
    run = submit_cell(INSIDE, experiment="inner")
    assert str(finish(run).status) == "Completed", log_of(run)
    assert run.get_metrics() == {"row": {"x": 1}}
    assert (run.tags, run.properties, run.type) == ({"inside": "yes"}, {"made": "here"}, "azureml.scriptrun")
    assert [name for name in run.get_file_names() if name.startswith("outputs")] == ["outputs/m.txt", "outputs/n.txt"]
    (child,) = run.get_children()
    assert (child.status, child.get_metrics(), child.parent) == ("Completed", {"loss": 0.5}, run)
    assert run.get_metrics(recursive=True) == {run.id: {"row": {"x": 1}}, child.id: {"loss": 0.5}}
    assert run.get_metrics(recursive=True, run_type="azureml.scriptrun") == {run.id: {"row": {"x": 1}}}
    said = log_of(run)
    assert "the run has no input 'x'; it has: none" in said
    assert "cannot wait for itself" in said
    assert [r.id for r in run.experiment.get_runs()] == [run.id]


def test_a_run_that_said_that_it_failed_has_failed(home: Path) -> None:
    cell = "from jupyter_mlrun import Run\nRun.get_context().fail('bad data', 'E7')\nprint('goes on')"
    run = submit_cell(cell)
    state = finish(run)
    assert (str(state.status), state.reason and state.reason.text) == ("Failed", "E7: bad data")
    assert "goes on" in log_of(run)


def test_a_run_that_was_done_and_crashed_has_crashed(home: Path) -> None:
    run = submit_cell("from jupyter_mlrun import Run\nRun.get_context().complete()\n1 / 0")
    state = finish(run)
    assert (str(state.status), state.exit_code) == ("Failed", 1)


def test_the_page_of_an_interactive_run_is_kept_fresh(run: Run) -> None:
    assert run.get_portal_url() == run.directory.page.as_uri()
    page = run.directory.page
    assert "Running" in page.read_text(encoding="utf-8")
    run.log("seen later", 0.125)
    until(lambda: "seen later" in page.read_text(encoding="utf-8"), "the metric in the page")
    run.complete()
    until(lambda: "Completed" in page.read_text(encoding="utf-8"), "the end in the page")


def test_a_page_that_nobody_can_keep_fresh_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(home: Path) -> None:
        raise AgentError("the agent cannot be started")

    monkeypatch.setattr(client, "ensure_agent", refuse)
    with pytest.warns(UserWarning, match="stays as it is now: the agent cannot be started"):
        assert run.get_portal_url() == run.directory.page.as_uri()


def test_a_run_stops_itself(home: Path) -> None:
    cell = "import time\nfrom jupyter_mlrun import Run\nRun.get_context().cancel()\nwhile True: time.sleep(1)"
    assert str(finish(submit_cell(cell)).status) == "Canceled"


def test_without_the_package_a_run_has_what_travels(home: Path, tmp_path: Path) -> None:
    from jupyter_mlrun.backends.local import install_worker

    far = install_worker(tmp_path)
    run = Experiment(Workspace(), "far").start_logging(snapshot_directory=None)
    code = (
        f"import sys; sys.path.insert(0, {str(far)!r})\nfrom jupyter_mlrun import Run\nrun = Run.get_context()\n"
        "run.log('m', 1); run.tag('a', 'b'); run.add_properties({'p': 'q'}); run.log_list('l', [1])\n"
        "open('f.txt', 'w').write('x'); run.upload_file('f.txt', 'f.txt')\n"
        "print(run.id, run.tags, run.get_file_names())\n"
        "try:\n    run.get_children\nexcept AttributeError as problem: print(problem)\n"
    )
    env = {**os.environ, "JUPYTER_MLRUN_RUN_DIR": str(run.path), "JUPYTER_MLRUN_RUN_ID": run.id}
    said = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert said.stderr == ""
    first, second = said.stdout.splitlines()
    assert first == f"{run.id} {{'a': 'b'}} ['f.txt']"
    assert second.startswith("'RunContext' object has no attribute 'get_children'; it may need the whole package")
    assert run.get_metrics() == {"m": 1, "l": [1]}
