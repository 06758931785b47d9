"""Runs that a process of its user is: interactive, offline and child runs, from their start to every kind of end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from jupyter_mlrun import BadInput, Conflict, Experiment, NotFound, Run, RunEnvironmentError, Workspace
from jupyter_mlrun.agent import client
from jupyter_mlrun.records import Spec
from jupyter_mlrun.rundir import RunDir
from jupyter_mlrun.store import runs
from tests.support import until


def start(**options: object) -> Run:
    return Experiment(Workspace(), "life").start_logging(**{"snapshot_directory": None, **options})


def only_run(experiment: str) -> Run:
    (run,) = Experiment(Workspace(), experiment).get_runs(include_children=True)
    return run


def script(code: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    path = folder / "script.py"
    path.write_text(code)
    return subprocess.run(
        [sys.executable, path], env={**os.environ, **env}, cwd=folder, capture_output=True, text=True, check=False
    )


def test_it_runs_at_once_and_ends_when_told(home: Path) -> None:
    run = start(name="mine", tags={"a": "b"})
    assert (run.status, run.display_name, run.tags, run.type) == ("Running", "mine", {"a": "b"}, None)
    run.start()
    run.complete()
    assert run.status == "Completed"
    run.complete()
    run.fail("too late")
    assert run.status == "Completed", "the first word counts"


def test_with_block(home: Path) -> None:
    with start() as run:
        run.log("m", 1)
    assert run.status == "Completed"
    with pytest.raises(ZeroDivisionError), start() as run:
        1 / 0  # noqa: B018 -- the exception is the test
    assert run.get_detailed_status() == {"status": "Failed", "details": "ZeroDivisionError: division by zero"}
    assert run.get_details()["error"]["lastLines"][-1] == "ZeroDivisionError: division by zero"
    assert "Traceback" in run.get_details_with_logs().logFiles["user_logs/std_log.txt"]


def test_cancel(home: Path) -> None:
    run = start()
    run.cancel()
    assert run.get_detailed_status() == {"status": "Canceled", "details": "stopped by itself"}


def test_the_agent_writes_down_how_it_ended(home: Path) -> None:
    done, active = start(), start()
    done.complete()
    client.sync(home)
    assert str(runs.recorded(done.directory).status) == "Completed"
    assert str(runs.recorded(active.directory).status) == "Running"
    active.fail("no")
    client.sync(home)
    assert str(runs.recorded(active.directory).status) == "Failed"


def test_somebody_else_stops_it_and_its_process_goes_on(home: Path) -> None:
    run = start()
    code = f"from jupyter_mlrun import Run, Workspace\nRun.get(Workspace(), {run.id!r}).cancel()"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert said.stderr == ""
    assert run.status == "Canceled"
    run.log("late", 1)
    run.complete()
    assert run.status == "Canceled"


@pytest.mark.parametrize("with_agent", [False, True])
def test_a_killed_process_is_seen(home: Path, tmp_path: Path, with_agent: bool) -> None:
    code = (
        "import time\nfrom jupyter_mlrun import Experiment, Workspace\n"
        "run = Experiment(Workspace(), 'life').start_logging()\n"
        "run.log('m', 1); print(run.id, flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stdout
    run = Run.get(Workspace(), process.stdout.readline().strip())
    if with_agent:
        client.sync(home)
    assert run.status == "Running"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    if with_agent:
        until(lambda: runs.recorded(run.directory).is_over, "the agent sees it")
    state = run.state
    assert str(state.status) == "Failed"
    assert state.reason
    assert state.reason.text.startswith("its process ended before the run was completed")
    assert state.ended == run.state.ended, "each look says the same"
    assert run.get_metrics() == {"m": 1}


def test_a_script_that_ends_has_completed_its_runs(home: Path, tmp_path: Path) -> None:
    said = script("from jupyter_mlrun import Run\nRun.get_context().log('m', 1)", tmp_path)
    assert said.returncode == 0, said.stderr
    run = only_run("OfflineRun")
    assert (run.status, run.spec.script, run.get_metrics()) == ("Completed", "script.py", {"m": 1})
    assert run.id in said.stderr, "it says where its files are"


def test_a_script_that_raises_has_failed(home: Path, tmp_path: Path) -> None:
    code = "from jupyter_mlrun import Run\nrun = Run.get_context()\nkid = run.child_run('kid')\nraise ValueError('bad')"
    assert script(code, tmp_path).returncode == 1
    every = list(Experiment(Workspace(), "OfflineRun").get_runs(include_children=True))
    assert {run.get_detailed_status()["details"] for run in every} == {"ValueError: bad"}
    assert len(every) == 2


OFFLINE = """
import os, subprocess, sys
from jupyter_mlrun import Run, Workspace
import jupyter_mlrun
run = Run.get_context()
assert run == Run.get_context() and run.id.startswith('OfflineRun_')
assert run.experiment.name == 'OfflineRun' and run.experiment.workspace.name == 'default'
run.log('loss', 1.0, step=0)
jupyter_mlrun.log('loss', 0.5, step=1)
os.makedirs('outputs'); open('outputs/model.pkl', 'w').write('model')
run.tag('a', 'b'); run.add_properties({'c': 'd'}); run.flush()
assert run.input_datasets == {} and run.get_metrics() == {'loss': [1.0, 0.5]}
assert run.get_details()['status'] == 'Running'
model = run.register_model('m', 'outputs/model.pkl')
assert model.version == 1
kid = run.child_run('kid'); kid.log('x', 1); kid.complete()
code = '''
from jupyter_mlrun import Run
run = Run.get_context()
run.log('from child', 1)
with run:
    print(run.id)
'''
said = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
assert said.stdout.strip() == run.id, said
assert said.stderr == '', said.stderr
assert run.status == 'Running', 'a process that joined does not end it'
run.complete()
other = Run.get_context()
assert other.id != run.id
"""


def test_an_offline_run_is_a_whole_run(home: Path, tmp_path: Path) -> None:
    said = script(OFFLINE, tmp_path)
    assert said.returncode == 0, said.stderr
    other, run = Experiment(Workspace(), "OfflineRun").get_runs()
    assert (run.status, other.status) == ("Completed", "Completed")
    assert run.get_metrics() == {"loss": [1.0, 0.5], "from child": 1}
    assert (run.tags, run.properties, run.get_file_names()) == ({"a": "b"}, {"c": "d"}, ["outputs/model.pkl"])
    assert [kid.name for kid in run.get_children()] == ["kid"]
    assert type(run).__name__ == "_OfflineRun"


def test_outside_of_a_run(home: Path) -> None:
    for call in (lambda: Run.get_context(allow_offline=False), Run.get_submitted_run):
        with pytest.raises(RunEnvironmentError, match="belongs to no run"):
            call()
    assert not home.exists()


SUBMITTING = """
from jupyter_mlrun import Experiment, Run, ScriptRunConfig, Workspace
run = Run.get_context()
open('train.py', 'w').write("import os; print(os.environ['JUPYTER_MLRUN_RUN_ID'])")
sub = Experiment(Workspace(), 'sub').submit(ScriptRunConfig('.', 'train.py'))
sub.wait_for_completion()
assert sub.get_details_with_logs().logFiles['user_logs/std_log.txt'].splitlines()[-1] == sub.id
"""


def test_what_an_offline_run_submits_is_a_run_of_its_own(home: Path, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    said = script(SUBMITTING, tmp_path / "project")
    assert said.returncode == 0, said.stderr


def test_children(home: Path) -> None:
    root = start()
    kids = [root.child_run(f"kid {number}") for number in range(3)]
    grandchild = kids[0].child_run("grandchild", run_id=runs.new_run_id("life"))
    kids[1].tag("best")
    kids[2].add_properties({"p": "q"})
    kids[0].complete()
    assert {r.id for r in root.get_children()} == {k.id for k in kids}
    assert {r.id for r in root.get_children(recursive=True)} == {k.id for k in [*kids, grandchild]}
    assert list(root.get_children(tags="best")) == [kids[1]]
    assert list(root.get_children(properties={"p": "q"})) == [kids[2]]
    assert list(root.get_children(status="Completed")) == [kids[0]]
    assert list(root.get_children(type="azureml.scriptrun")) == []
    assert (grandchild.parent, kids[0].parent, root.parent) == (kids[0], root, None)
    assert list(root.experiment.get_runs()) == [root], "children are left out"
    assert len(list(root.experiment.get_runs(include_children=True))) == 5


def test_children_are_looked_for_in_their_experiment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = start()
    kid = root.child_run("kid")
    Experiment(Workspace(), "other").start_logging(snapshot_directory=None)
    looked: list[str] = []
    real = runs.read_spec

    def read_spec(run: RunDir) -> Spec:
        looked.append(run.path.parent.name)
        return real(run)

    monkeypatch.setattr(runs, "read_spec", read_spec)
    assert [one.id for one in root.get_children(recursive=True)] == [kid.id]
    assert set(looked) == {"life"}


def test_a_run_below_itself(home: Path) -> None:
    """Nothing makes one; somebody may edit one."""
    root = start()
    kid = root.child_run("kid")
    spec = json.loads(root.directory.spec.read_text())
    root.directory.spec.write_text(json.dumps({**spec, "parent": kid.id}))
    assert [one.id for one in root.get_children(recursive=True)] == [kid.id, root.id]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_script_that_may_no_longer_look_at_its_run(home: Path, tmp_path: Path) -> None:
    said = script("from jupyter_mlrun import Run\nimport os\nRun.get_context()\nos.setuid(65534)\n", tmp_path)
    assert "Traceback" not in said.stderr
    assert only_run("OfflineRun").status == "Failed", "nobody said how it ended"


def test_create_children(home: Path) -> None:
    root = start()
    assert len(root.create_children(3)) == 3
    assert [kid.tags for kid in root.create_children(tag_key="lr", tag_values=["1", "2"])] == [{"lr": "1"}, {"lr": "2"}]
    before = len(list(root.get_children()))
    for wrong in ({}, {"count": 2, "tag_key": "a", "tag_values": ["b"]}, {"tag_key": "a"}, {"count": 0}):
        with pytest.raises(BadInput):
            root.create_children(**wrong)
    assert len(list(root.get_children())) == before


def test_submit_child(home: Path, tmp_path: Path) -> None:
    from jupyter_mlrun import ScriptRunConfig

    (tmp_path / "project").mkdir()
    (tmp_path / "project/a.py").write_text("print('a child')")
    root = start()
    child = root.submit_child(ScriptRunConfig(str(tmp_path / "project"), "a.py"), tags={"a": "b"})
    assert child.wait_for_completion().status == "Completed"
    assert (child.parent, child.tags, list(root.get_children())) == (root, {"a": "b"}, [child])
    assert child.get_details()["parentRunId"] == root.id


def test_ids(home: Path) -> None:
    run = start()
    for wrong in ("x", "other_1_00000000", "../life_1_00000000"):
        with pytest.raises(BadInput, match="is no id for a run"):
            start(run_id=wrong)
    with pytest.raises(Conflict, match="already"):
        start(run_id=run.id)
    with pytest.raises(NotFound, match="no run"):
        Run(run.experiment, "life_1_00000000")
    assert Run(run.experiment, run.id, outputs="x", _user_agent="y") == Run.get(Workspace(), run.id) == run


def test_a_snapshot_of_the_folder_is_the_default(home: Path, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    os.chdir(tmp_path / "project")
    Path("a.py").write_text("print()")
    run = Experiment(Workspace(), "life").start_logging()
    assert (run.spec.snapshot or {})["files"] == 1
    assert start().get_snapshot_id() is None


def test_a_folder_that_is_too_large_is_warned_of(home: Path, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    os.chdir(tmp_path / "project")
    with Path("data.bin").open("wb") as file:
        file.truncate(2 << 30)
    with pytest.warns(UserWarning, match=r"(?s)no snapshot of '\.': .*data\.bin"):
        run = Experiment(Workspace(), "life").start_logging()
    assert (run.status, run.get_snapshot_id()) == ("Running", None)


def test_nothing_is_warned_of_without_need(home: Path, tmp_path: Path) -> None:
    os.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Experiment(Workspace(), "life").start_logging(snapshot_directory=str(tmp_path / "user")).complete()


def test_it_cannot_wait_for_itself(home: Path) -> None:
    run = start()
    with pytest.raises(Conflict, match="cannot wait for itself"):
        run.wait_for_completion()
    run.complete()
    assert run.wait_for_completion().status == "Completed"


def test_another_process_waits_for_it(home: Path) -> None:
    run = start()
    wait = f"Run.get(Workspace(), {run.id!r}).wait_for_completion(show_output=True)"
    code = f"from jupyter_mlrun import Run, Workspace\n{wait}"
    # what is not flushed is not seen, but where this variable hides it
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    waiter = subprocess.Popen(
        [sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert waiter.stdout
    assert waiter.stderr
    with waiter.stdout, waiter.stderr:
        assert waiter.stdout.readline() == f"RunId: {run.id}\n"
        run.fail("at last")
        out, err = waiter.stdout.read(), waiter.stderr.read()
    assert waiter.wait() == 1
    assert "Web View: file://" in out
    assert f"Execution Summary\n=================\nRunId: {run.id}\nStatus: Failed\nReason: at last\n" in out
    assert f"run {run.id} failed: at last" in err


FORKING = """
import os, sys
from jupyter_mlrun import Experiment, Workspace
run = Experiment(Workspace(), 'life').start_logging(snapshot_directory=None)
pid = os.fork()
if not pid:
    run.log('from the fork', 1)
    sys.exit(0)
os.waitpid(pid, 0)
assert run.status == 'Running', run.status
"""


def test_the_end_of_a_forked_child_is_not_its_end(home: Path, tmp_path: Path) -> None:
    said = script(FORKING, tmp_path)
    assert said.returncode == 0, said.stderr
    run = only_run("life")
    assert (run.status, run.get_metrics()) == ("Completed", {"from the fork": 1})


def test_numbers_and_listing(home: Path) -> None:
    first, second = start(), start()
    ids = [run.id for run in Run.list(first.experiment)]
    assert sorted(ids) == sorted([first.id, second.id])
    assert {first.number, second.number} == {1, 2}
    assert [run.number for run in first.experiment.get_runs()] == [2, 1]

    class Compute:
        name, workspace = "local", Workspace()

    assert len(list(Run.list_by_compute(Compute()))) == 2


def test_deleting(home: Path) -> None:
    run = start()
    with pytest.raises(Conflict, match="is Running"):
        run.delete()
    run.complete()
    run.delete()
    assert not run.path.exists()
    assert "removed" in repr(run)
    assert "removed" in run._repr_html_()


def test_import_and_first_log_are_light(home: Path, tmp_path: Path) -> None:
    code = "from jupyter_mlrun import Run; import sys; run = Run.get_context(); run.log('m', 1); print(*sys.modules)"
    run = start()
    env = {**os.environ, "JUPYTER_MLRUN_RUN_DIR": str(run.path), "JUPYTER_MLRUN_RUN_ID": run.id}
    said = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in said.stdout.split()}
    heavy = {"asyncio", "IPython", "numpy", "psutil", "rich", "sqlite3", "subprocess", "traitlets", "hashlib", "shutil"}
    assert not loaded & heavy
    assert "jupyter_mlrun.worker.logforms" not in said.stdout
