"""Warm starts: what a program can see and how it ends are those of a cold start; every doubt is a cold start."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from jupyter_mlrun import settings
from jupyter_mlrun.agent import client
from jupyter_mlrun.backends import warm
from jupyter_mlrun.backends.local import install_worker
from jupyter_mlrun.rundir import RunDir, write_atomic
from jupyter_mlrun.sdk import warming
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.store import runs
from jupyter_mlrun.ui import view
from jupyter_mlrun.worker import process, startup
from tests.support import PATIENCE, describe, finish, kill_worker, log_of, running, until, workers
from tests.warm import environment, gone, ready, server_processes, servers, start, warm_up, way

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has warm starts"),
    pytest.mark.timeout(300),  # each makes two runs at least, one after the other
]
PROBE = str(Path(__file__).parent / "probe.py")
# the interpreter's own state is in these, so they stay where a fork server had loaded them
STAY = {"threading", "_weakrefset", "ctypes", "ctypes._endian", "_ctypes"}


def plain(run: Run, text: str) -> str:
    """*text* without what differs between any two runs."""
    text = text.replace(str(run.path), "RUN").replace(run.id, "ID")
    return re.sub(r'(MASTER_PORT(=|": "))\d+', r"\1N", text)


def seen(run: Run) -> Any:
    """What the probe found."""
    assert str(finish(run).status) == "Completed", describe(run)
    return json.loads(plain(run, log_of(run)))


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of nested dicts with its place, so that a difference is shown and not a page of sameness."""
    if not isinstance(value, dict):
        yield path, value
        return
    for key, inner in value.items():
        yield from leaves(inner, f"{path}/{key}")


SETTINGS = {
    "as it is": (),
    "variables of the interpreter": (
        "PYTHONHASHSEED=7", "PYTHONFAULTHANDLER=1", "PYTHONSAFEPATH=1", "PYTHONWARNINGS=error::BytesWarning",
        "PYTHONIOENCODING=latin-1:replace", "TZ=Asia/Kolkata", "PYTHONDONTWRITEBYTECODE=1", "ONLY_MINE=a b\nc",
    ),
    "another locale": ("LANG=", "LC_ALL=", "PYTHONUTF8=0", "PYTHONDEVMODE=1", "HOME=/nowhere"),
}  # fmt: skip


@pytest.mark.parametrize("variables", SETTINGS.values(), ids=SETTINGS)
def test_a_program_sees_what_it_sees_after_a_cold_start(home: Path, variables: tuple[str, ...]) -> None:
    options: dict[str, Any] = {"script": PROBE, "env_vars": variables, "arguments": ("a", "b c", "--d=é"), "gpus": 0}
    cold = seen(start(warm=False, **options))
    finish(start(**options))
    ready(home)
    run = start(**options)
    found = seen(run)
    assert way(run) == "warm", describe(run)
    loaded = found["interpreter"].pop("modules")
    assert set(loaded) - STAY == set(cold["interpreter"].pop("modules")) - STAY
    expected, got = dict(leaves(cold)), dict(leaves(found))
    assert {k: got.get(k) for k in got.keys() | expected if got.get(k) != expected.get(k)} == {}


CHILDREN = """
import multiprocessing, os, pickle, subprocess, sys, threading, atexit, logging
from concurrent.futures import ProcessPoolExecutor

class Point:
    def __init__(self, x): self.x = x

def work(point): return Point(point.x * 2), os.getppid() == parent

parent = os.getpid()
if __name__ == "__main__":
    atexit.register(print, "at exit")
    for kind in ("spawn", "fork", "forkserver"):
        pool = ProcessPoolExecutor(1, multiprocessing.get_context(kind))
        found, direct = pool.submit(work, Point(21)).result()
        pool.shutdown()
        print(kind, found.x, type(found) is Point, direct)
    print(pickle.dumps(Point(1))[:30], multiprocessing.current_process().name, multiprocessing.parent_process())
    print(subprocess.run([sys.executable, "-m", "platform"], capture_output=True).returncode)
    logging.getLogger("x").warning("to stderr")
    os.write(1, b"raw\\n")
    thread = threading.Thread(target=lambda: print("in", threading.current_thread().name))
    thread.start(); thread.join()
    print(threading.main_thread() is threading.current_thread(), os.fork and "forks")
    child = os.fork()
    if not child:
        print("child", flush=True); os._exit(7)
    print(os.waitpid(child, 0)[1])
"""
ENDS = {
    "children": CHILDREN,
    "a message": "import sys\nsys.exit('no')",
    "a code": "import sys\nprint('a', end='')\nsys.exit(300)",
    "an exception": "import os\ndef f(x):\n  os.chdir('/')\n  return x / 0\ntry:\n  {}['k']\nexcept KeyError:\n  f(1)",
    "interrupted": "raise KeyboardInterrupt",
    "itself": "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)",
    "interrupt signal": "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)",
    "broken pipe": "import os\nr, w = os.pipe()\nos.close(r)\nos.write(w, b'x')",
    "segmentation fault": "import faulthandler, ctypes\nfaulthandler.enable()\nctypes.string_at(0)",
    "abort": "import os\nprint('before')\nos.abort()",
    "at once": "import os, atexit\natexit.register(print, 'never')\nos._exit(9)",
    "a thread": "import threading, sys\nthreading.Thread(target=lambda: print(1 / 0)).start()\nsys.exit(4)",
    "atexit": "import atexit\n@atexit.register\ndef last():\n    print('last')\n    raise ValueError('late')",
    "no such name": "print(undefined_name)",
    "recursion": "def f(n): return f(n + 1)\ntry:\n    f(0)\nexcept RecursionError as e:\n    print(e)",
    "stack": "import traceback\ndef g(): traceback.print_stack()\ng()",
    "exec": "import os, sys\nos.execv(sys.executable, [sys.executable, '-c', 'import os; print(os.getcwd())'])",
    "a local module": "import secrets, signal2\nprint(secrets.MINE, signal2)",
}


def told(run: Run) -> dict[str, Any]:
    """How it ended, in every place that tells it."""
    state = finish(run)
    said = json.loads(run.directory.exit.read_text())
    log = re.sub(r"0x[0-9a-f]{6,}", "0xN", plain(run, log_of(run)))
    assert state.reason is not None
    return {
        "status": str(state.status), "code": state.exit_code, "signal": state.signal, "reason": state.reason.text,
        "log": log, "error": plain(run, str(said["ranks"][0]["error"])), "noted": run.directory.rank_exit(0).exists(),
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Scripts that end in every way, beside modules of names that the worker uses, too."""
    path = tmp_path / "source"
    path.mkdir()
    for number, text in enumerate(ENDS.values()):
        (path / f"end{number}.py").write_text(text)
    (path / "secrets.py").write_text("MINE = 'mine'\n")
    (path / "signal2.py").write_text("")
    return path


@pytest.mark.timeout(600)  # thirty-six runs, one after the other
def test_programs_end_as_after_a_cold_start(home: Path, folder: Path) -> None:
    warm_up(home)
    for number, name in enumerate(ENDS):
        pair = [start(script=f"end{number}.py", source=str(folder), warm=one) for one in (False, True)]
        cold, other = (told(run) for run in pair)
        assert way(pair[1]) == "warm", describe(pair[1])
        assert other == cold, name


def test_random_numbers_differ_and_the_hash_seed_is_shared(home: Path) -> None:
    cell = "import random, uuid, secrets, tempfile\nprint(random.random(), uuid.uuid4(), tempfile.mkdtemp())"
    warm_up(home)
    first, second = start(cell), start(cell)
    finish(first), finish(second)
    assert (way(first), way(second)) == ("warm", "warm")
    assert all(a != b for a, b in zip(log_of(first).split(), log_of(second).split(), strict=True))


def test_preloaded_numpy_is_there_with_new_seeds_and_threads(home: Path) -> None:
    cell = """
import sys
print("numpy" in sys.modules)
import numpy as np, os, threading
print(np.random.rand(), np.random.default_rng().random())
a = np.random.rand(300, 300)
assert np.allclose(a @ np.linalg.inv(a), np.eye(300), atol=1e-6)
print(np.__file__, threading.active_count())
"""
    warm_up(home, preload=("numpy",))
    found = [start(cell, preload=("numpy",)) for _ in range(2)]
    for run in found:
        assert str(finish(run).status) == "Completed", describe(run)
        assert way(run) == "warm"
        assert log_of(run).startswith("True\n")
    first, second = (log_of(run).split()[1:3] for run in found)
    assert not set(first) & set(second), "two runs drew the same numbers"
    cold = start(cell)
    finish(cold)
    assert log_of(cold).startswith("False\n"), "without the preload nothing is loaded"


# ---- when in doubt, cold ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"env_vars": ("PYTHONINSPECT=1",)}, "PYTHONINSPECT is set"),
        ({"env_vars": ("PYTHONPATH=relative",)}, "PYTHONPATH has a relative folder"),
        ({"env_vars": ("PYTHONHASHSEED=5",)}, "PYTHONHASHSEED differs"),
        ({"env_vars": ("LD_LIBRARY_PATH=/nowhere",)}, "LD_LIBRARY_PATH differs"),
        ({"command": [sys.executable, "-c", "pass"]}, "it runs a command"),
        ({"warm": False}, "warm starts are switched off"),
    ],
)  # fmt: skip
def test_cold_with_a_reason(home: Path, options: dict[str, Any], why: str) -> None:
    warm_up(home)
    run = start(None if "command" in options else "pass", **options)
    assert str(finish(run).status) == "Completed", describe(run)
    assert way(run).startswith("cold: ")
    assert why in way(run)


def test_a_variable_of_the_run_is_no_reason(home: Path) -> None:
    warm_up(home)
    run = start("import os\nprint(os.environ['LR'], os.getenv('HERE'))", env_vars=("LR=0.1", "HERE=there"))
    assert str(finish(run).status) == "Completed"
    assert (way(run), log_of(run)) == ("warm", "0.1 there\n")
    assert "  start: warm\n" in view.as_text(run.directory)


def test_a_file_that_hides_a_loaded_module(home: Path, tmp_path: Path) -> None:
    (tmp_path / "ctypes.py").write_text("MINE = True\n")
    (tmp_path / "a.py").write_text("import ctypes\nprint(ctypes.MINE)\n")
    warm_up(home)
    run = start(script="a.py", source=str(tmp_path), include=("*.py",))
    assert str(finish(run).status) == "Completed", describe(run)
    assert log_of(run) == "True\n"
    assert "ctypes.py" in way(run)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A virtual environment with a package of its own."""
    path = tmp_path / "env"
    venv.create(path, symlinks=True)
    site = next(path.glob("lib/python*/site-packages"))
    (site / "tqdm").mkdir()
    (site / "tqdm/__init__.py").write_text("VERSION = 1\n")
    return path


@pytest.fixture
def pool(home: Path) -> Iterator[warm.Pool]:
    """A pool without an agent; its servers are children of this process."""
    home.mkdir(mode=0o700)
    found = warm.Pool(install_worker(home), home / "log")
    yield found
    pids = [one.pid for one in found.servers if not one.gone]
    found.close()
    for pid in pids:
        os.waitpid(pid, 0)


def server(pool: warm.Pool, python: Path, preload: tuple[str, ...], variables: dict[str, str]) -> warm.Server:
    """A fork server of *python*, once it has said whether it serves."""
    pool.find(str(python), preload, variables)
    pool.start_wanted()
    one = pool.servers[-1]

    def answered() -> bool:
        one.look()
        return one.state != "starting" or one.gone

    until(answered, "an answer")
    return one


def changes(site: Path) -> dict[str, Any]:
    return {
        "installed": (site / "new-1.0.dist-info").mkdir,
        "a path file": lambda: (site / "more.pth").write_text("/nowhere\n"),
        "replaced": lambda: write_atomic(site / "tqdm/__init__.py", b"VERSION = 2\n"),
        "removed": lambda: shutil.rmtree(site / "tqdm"),
    }


@pytest.mark.parametrize("change", ["installed", "a path file", "replaced", "removed"])
def test_what_is_installed_changes(pool: warm.Pool, place: Path, change: str) -> None:
    python, site = place / "bin/python", next(place.glob("lib/python*/site-packages"))
    first = server(pool, python, ("tqdm",), {})
    assert first.state == "ready", first.state
    assert pool.find(str(python), ("tqdm",), {}) == (first, "")
    changes(site)[change]()
    found, why = pool.find(str(python), ("tqdm",), {})
    assert found is None
    assert "has changed" in why
    assert first.gone
    assert os.waitpid(first.pid, 0)[1] == 0, "the old one goes by itself"


@pytest.mark.parametrize(
    ("text", "name", "why"),
    [
        ("import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()", "tqdm", "1 threads"),
        ("raise RuntimeError('broken')", "tqdm", "RuntimeError: broken"),
        ("import sys\nsys.exit(3)", "tqdm", "SystemExit"),
        ("import os; os.environ.get('X')", "x.pth", "x.pth runs code"),
        ("import os", "sitecustomize.py", "runs whenever Python starts"),
    ],
)  # fmt: skip
def test_refused(pool: warm.Pool, place: Path, text: str, name: str, why: str) -> None:
    site = next(place.glob("lib/python*/site-packages"))
    (site / ("tqdm/__init__.py" if name == "tqdm" else name)).write_text(text + "\n")
    one = server(pool, place / "bin/python", ("tqdm",), {})
    assert why in one.state, one.state
    assert why in pool.find(str(place / "bin/python"), ("tqdm",), {})[1]


def test_what_has_opened_a_gpu_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jupyter_mlrun.worker import warm as far

    monkeypatch.setattr(os, "readlink", lambda path: "/dev/nvidiactl" if "/fd/" in path else "")
    monkeypatch.setattr(os, "fork", lambda: 1)
    monkeypatch.setattr(os, "waitpid", lambda *_: None)
    monkeypatch.setattr(far, "_threads", lambda: 1)
    assert "has opened the GPU" in far._unfit()


def test_choose_warns_of_what_is_not_safe() -> None:
    with pytest.warns(RuntimeWarning, match="'tensorflow' is not known to be safe"):
        assert warm.choose(["torch", "tensorflow", "numpy.linalg", "torch"]) == ["numpy.linalg", "torch"]


def test_the_setting_is_read_from_everywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JUPYTER_MLRUN_PRELOAD", "torch, numpy")
    monkeypatch.setenv("JUPYTER_MLRUN_WARM", "0")
    found = settings.load(start=tmp_path)
    assert (found.preload, found.warm) == (["torch", "numpy"], False)


def test_other_folders_on_the_path_may_change(pool: warm.Pool, place: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    python, variables = place / "bin/python", {"PYTHONPATH": str(project)}
    one = server(pool, python, ("tqdm",), variables)
    assert one.state == "ready", one.state
    (project / "results.csv").write_text("")
    assert pool.find(str(python), ("tqdm",), variables) == (one, "")
    (project / "tqdm.py").write_text("")
    assert pool.find(str(python), ("tqdm",), variables) == (None, f"{project} has changed")


def test_at_most_three_and_the_oldest_goes(pool: warm.Pool) -> None:
    for number in range(4):
        server(pool, Path(sys.executable), (), {"PYTHONHASHSEED": str(number)})
    pool.look()
    assert [one.variables["PYTHONHASHSEED"] for one in pool.servers] == ["1", "2", "3"]
    assert [one.state for one in pool.servers] == ["ready"] * 3


def test_an_interpreter_that_is_gone(pool: warm.Pool) -> None:
    assert pool.find("/nowhere/python", (), {})[0] is None
    pool.start_wanted()
    assert pool.servers == []


def test_one_that_is_at_work_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine costs no warm start; a server that hangs is left after a second."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        one = warm.Server("python", (), {}, os.getpid(), ours)
        monkeypatch.setattr(warm, "ANSWER_SECONDS", 0.0)
        monkeypatch.setattr(process, "is_busy", lambda _: False)
        assert warm._answer(one) == {}
        monkeypatch.setattr(process, "is_busy", lambda _: theirs.send(b'{"pid": 7}\n'))
        assert warm._answer(one) == {"pid": 7}


def test_who_is_stopped_or_asleep_is_not_at_work() -> None:
    assert process.is_busy(os.getpid())
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        until(lambda: process.is_busy(child.pid), "at work")
        child.send_signal(signal.SIGSTOP)
        until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_STOPPED, "stopped")
        assert not process.is_busy(child.pid)
        child.kill()
    assert not process.is_busy(child.pid)


# ---- the processes ---------------------------------------------------------------------------------------


def test_processes_show_what_they_are(home: Path) -> None:
    warm_up(home)
    run = running(start("import time\ntime.sleep(600)", name="long"))
    rank = json.loads(run.directory.rank(0).read_text())["pid"]
    (one,) = server_processes(home)
    assert run.id not in str(environment(one.pid))
    assert environment(rank)["JUPYTER_MLRUN_RUN_ID"] == run.id
    assert " ".join(psutil.Process(rank).cmdline()).endswith("bootstrap.py 0 cell.py")
    assert one.pid == psutil.Process(workers(run)[0]["pid"]).ppid()
    assert process.members(run.id, ()) == {rank}
    run.cancel()
    assert str(finish(run).status) == "Canceled"


def test_secrets_of_a_run_are_not_kept(home: Path) -> None:
    secret = os.urandom(8).hex()
    finish(start("pass", env_vars=(f"TOKEN={secret}",)))
    ready(home)
    (one,) = server_processes(home)
    assert secret not in str(environment(one.pid))
    one.suspend()  # what is read stays where it is
    until(lambda: one.status() == psutil.STATUS_STOPPED, "it stands still")
    try:
        with open(f"/proc/{one.pid}/maps") as maps, open(f"/proc/{one.pid}/mem", "rb") as memory:
            for line in maps:
                area, rights = line.split()[:2]
                begin, end = (int(part, 16) for part in area.split("-"))
                if rights.startswith("rw"):
                    memory.seek(begin)
                    assert secret.encode() not in memory.read(end - begin)
    finally:
        one.resume()


def test_a_process_that_leaves_the_tree_is_ended_with_the_run(home: Path, tmp_path: Path) -> None:
    told_pid = tmp_path / "pid"
    cell = f"""
import os
if not os.fork():
    os.setsid()
    if not os.fork():
        open({str(told_pid)!r} + ".new", "w").write(str(os.getpid()))
        os.rename({str(told_pid)!r} + ".new", {str(told_pid)!r})
        import time; time.sleep(600)
    os._exit(0)
import time; time.sleep(600)
"""
    warm_up(home)
    run = running(start(cell))
    until(told_pid.exists, "the grandchild")
    who = process.identity(int(told_pid.read_text()))
    kill_worker(run)
    until(lambda: len(workers(run)) == 2, "a second generation")
    run.cancel()
    assert str(finish(run).status) == "Canceled"
    until(lambda: not process.is_alive(who), "no process is left")


def test_the_view_of_the_queue_names_the_servers(home: Path) -> None:
    warm_up(home)
    finish(start("pass"))
    assert servers(home) == [{"python": sys.executable, "preload": [], "state": "ready", "forks": 1}]


def test_they_go_with_the_agent(home: Path) -> None:
    warm_up(home)
    (one,) = server_processes(home)
    client.stop_agent(home)
    until(lambda: gone(one), "gone")


def test_the_words_for_variables() -> None:
    assert startup.difference({"A": "1", "B": "2"}, {"A": "1", "C": "2"}) == "B"
    env = {"PATH": "p", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "LR": "1", "LC_ALL": "C"}
    assert set(startup.variables(env, ())) == {"PATH", "LC_ALL"}
    assert set(startup.variables(env, ("torch",))) == {"PATH", "LC_ALL", "OMP_NUM_THREADS"}


def test_start_of_a_run_that_says_nothing(tmp_path: Path) -> None:
    assert runs.start_of(RunDir(tmp_path)) == ""


def test_what_is_loaded_ahead_is_ready_before_the_first_run(home: Path) -> None:
    config = settings.load()
    config.preload = ["yaml", "yaml"]
    asking = warming.begin(config)
    assert asking is not None
    asking.join()
    assert ready(home)["preload"] == ["yaml"]
    run = start("import sys\nprint('yaml' in sys.modules)", preload=("yaml",))
    assert str(finish(run).status) == "Completed", describe(run)
    assert (way(run), log_of(run)) == ("warm", "True\n")
    assert len(servers(home)) == 1


@pytest.mark.parametrize(("preload", "on"), [([], True), (["yaml"], False), (["nosuchmodule"], True)])
def test_nothing_is_started_where_nothing_is_loaded_ahead(home: Path, preload: list[str], on: bool) -> None:
    config = settings.load()
    config.preload, config.warm = preload, on
    assert warming.begin(config) is None
    assert not home.exists()


def test_a_request_that_cannot_be_understood_harms_nothing(home: Path) -> None:
    client.ensure_agent(home)
    client.request(home, {"kind": "warm", "preload": 7}, wait=PATIENCE)
    assert servers(home) == []
