"""A submit that is killed, or told of an error, at its N-th system call: no run, or one whole run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlrun import upkeep
from jupyter_mlrun.store import runs
from jupyter_mlrun.store.home import workspaces
from jupyter_mlrun.worker.unpack import materialise
from tests.conftest import need

REFUSED, BROKEN = 3, 4

# submits in a fork of itself for each line "HOME SOURCE GATE", so that only the submit is traced
SERVER = """
import os, sys
from jupyter_mlrun import settings
from jupyter_mlrun.agent import client
from jupyter_mlrun.errors import JupyterMLRunError
from jupyter_mlrun.sdk.submit import Request, submit

client.ensure_agent = client.ring = lambda home: None
config = settings.load()

def child(home, source, gate):
    os.environ["JUPYTER_MLRUN_HOME"] = home
    if gate:
        try:
            import ctypes
            ctypes.CDLL(None).prctl(0x59616D61, -1, 0, 0, 0)  # whoever traces us need not be our parent
        finally:
            os.read(int(gate), 1)
    try:
        submit(Request(cell="print(1)", experiment="test", source=source), config)
    except JupyterMLRunError as problem:
        sys.stderr.write(f"refused: {problem.message}\\n")
        return 3
    except BaseException as problem:
        sys.stderr.write(f"broken: {problem!r}\\n")
        return 4
    return 0

for line in sys.stdin:
    home, source, gate = line.rstrip("\\n").split("\\t")
    pid = os.fork()
    if not pid:
        os._exit(child(home, source, gate))
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Submitter:
    """Submits one folder again and again, each time into the home that it is told."""

    def __init__(self, source: Path, errors: Path) -> None:
        self.source, self.errors = source, errors
        self.gate, self.opener = os.pipe()
        with errors.open("wb") as log:
            self.server = subprocess.Popen(
                [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                text=True, pass_fds=(self.gate,),
            )  # fmt: skip

    def _say(self, home: Path, gate: str) -> int:
        assert self.server.stdin is not None
        self.server.stdin.write(f"{home}\t{self.source}\t{gate}\n")
        self.server.stdin.flush()
        return self._number()

    def _number(self) -> int:
        assert self.server.stdout is not None
        return int(self.server.stdout.readline())

    def submit(self, home: Path) -> int:
        """The exit code of a submit that nothing disturbs."""
        self._say(home, "")
        return self._number()

    def traced(self, home: Path, inject: str) -> int:
        """The exit code of a submit under ``strace --inject``."""
        pid = self._say(home, str(self.gate))
        command = ["strace", "-f", "-o", "/dev/null", "-p", str(pid), "-e", f"inject={inject}"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
            assert tracer.stderr is not None
            first = tracer.stderr.readline()  # from now on it sees every call
            os.write(self.opener, b"!")
            code = self._number()
            said = [first, *tracer.stderr]
        assert not [line for line in said if not line.endswith(" attached\n")], said
        return code

    def close(self) -> None:
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.close()
        self.server.wait()
        self.server.stdout.close()
        os.close(self.gate)
        os.close(self.opener)


@pytest.fixture
def submitter(tmp_path: Path) -> Iterator[Submitter]:
    need(shutil.which("strace"), "strace is not installed")
    found = Submitter(small_folder(tmp_path / "source"), tmp_path / "errors")
    yield found
    found.close()


def small_folder(path: Path) -> Path:
    (path / "sub").mkdir(parents=True)
    (path / "model.py").write_text("x = 1\n")
    (path / "sub/data.txt").write_text("1,2\n" * 100)
    (path / "link").symlink_to("model.py")
    return path


def runs_of(home: Path) -> list[Any]:
    return [run for place in workspaces(home) for run in runs.run_dirs(place)]


def assert_whole(home: Path, scratch: Path) -> int:
    """Every run of the home can be read and started; returns how many there are."""
    harm = [text for text in upkeep.problems(home) if "has no index" not in text] if home.is_dir() else []
    assert not harm
    found = runs_of(home)
    for run in found:
        spec = runs.read_spec(run)
        assert next(event["type"] for event in runs.events(run)) == "created"
        assert spec.snapshot
        materialise(spec.objects, spec.snapshot["id"], str(scratch))
        assert (scratch / "link").read_text() == "x = 1\n"
        shutil.rmtree(scratch)
    return len(found)


# how far the quick test goes from one call to the next; the slow one takes each
STRIDES = {
    "write": 4, "fsync": 4, "rename": 2, "link": 1, "openat": 11, "mkdir": 4, "close": 17, "flock": 1,
    "unlink": 1, "utimensat": 1, "newfstatat": 29,
}  # fmt: skip


def sweep(submitter: Submitter, tmp_path: Path, call: str, stride: int, how: str) -> Iterator[tuple[int, Path]]:
    """(exit code, home) for each place to hit, until the submit ends well."""
    for number in range(1, 2000, stride):
        home = tmp_path / f"home {call} {number}"
        home.mkdir(mode=0o700)
        code = submitter.traced(home, f"{call}:{how}:when={number}")
        yield code, home
        shutil.rmtree(home)
        if code == 0:
            return
    raise AssertionError(f"the submit never got past {call}")


def kill_everywhere(submitter: Submitter, tmp_path: Path, call: str, stride: int) -> None:
    codes = []
    for code, home in sweep(submitter, tmp_path, call, stride, "signal=SIGKILL"):
        codes.append(code)
        assert code in (0, -signal.SIGKILL), submitter.errors.read_text()
        count = assert_whole(home, tmp_path / "work")
        assert count == 1 if code == 0 else count <= 1
        assert submitter.submit(home) == 0, submitter.errors.read_text()
        assert assert_whole(home, tmp_path / "work") == count + 1
    assert -signal.SIGKILL in codes


@pytest.mark.parametrize("call", ["write", "fsync", "rename", "openat", "mkdir"])
def test_a_killed_submit_leaves_no_run_or_a_whole_one(submitter: Submitter, tmp_path: Path, call: str) -> None:
    kill_everywhere(submitter, tmp_path, call, STRIDES[call])


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("call", STRIDES)
def test_a_submit_killed_at_each_call(submitter: Submitter, tmp_path: Path, call: str) -> None:
    kill_everywhere(submitter, tmp_path, call, 1)


def fail_everywhere(submitter: Submitter, tmp_path: Path, call: str, error: str) -> list[int]:
    """How many runs there were after each submit that was told of an error."""
    seen = []
    for code, home in sweep(submitter, tmp_path, call, 1, f"error={error}"):
        assert code in (0, REFUSED), submitter.errors.read_text()
        count = assert_whole(home, tmp_path / "work")
        assert not [path for path in home.rglob("*.pack") if not path.with_suffix(".idx").exists()]
        assert not list(home.rglob("*.new")), "nothing half-written stays"
        assert submitter.submit(home) == 0, submitter.errors.read_text()
        assert assert_whole(home, tmp_path / "work") == count + 1
        if code == REFUSED:
            seen.append(count)
    return seen


@pytest.mark.parametrize(("call", "error"), [("write", "ENOSPC"), ("rename", "EIO"), ("fsync", "EIO")])
def test_a_disk_that_fails_makes_the_submit_fail(submitter: Submitter, tmp_path: Path, call: str, error: str) -> None:
    seen = fail_everywhere(submitter, tmp_path, call, error)
    assert seen
    assert not any(seen), "who is told of an error has no run"


FULL = """
import os, sys
from pathlib import Path
from jupyter_mlrun import settings, upkeep
from jupyter_mlrun.agent import client
from jupyter_mlrun.errors import StoreError
from jupyter_mlrun.sdk.submit import Request, submit
from jupyter_mlrun.store import runs
from jupyter_mlrun.store.home import WorkspaceDir

client.ensure_agent = client.ring = lambda home: None
home, source, config = Path(sys.argv[1]), sys.argv[2], settings.load()
os.environ["JUPYTER_MLRUN_HOME"] = str(home)
place = WorkspaceDir(home, config.workspace).make()
request = Request(cell="print(1)", experiment="test", source=source)
filler = home / "filler"
done = refused = 0
for free in (0, 1, 2, 8, 100, 362, *range(364, 380)):  # pages; the folder has 360
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            file.truncate(max(0, file.tell() - free * 4096))
    try:
        submit(request, config)
    except StoreError as problem:
        refused += 1
        assert "No space left" in problem.message and problem.hint, problem
    else:
        done += 1
    filler.unlink()
    assert len(list(runs.run_dirs(place))) == done, free
    assert not upkeep.problems(home), upkeep.problems(home)
    assert not list(place.path.rglob("*.new")) and not list(place.tmp.iterdir()), free
    if done:
        break
assert refused >= 6 and done
submit(request, config)
assert len(list(runs.run_dirs(place))) == done + 1
"""


def test_a_full_disk_refuses_a_submit_and_nothing_stays(tmp_path: Path) -> None:
    if os.getuid() or not shutil.which("unshare"):
        pytest.skip("only root can mount a small disk")
    home, source = tmp_path / "small", small_folder(tmp_path / "source")
    home.mkdir(mode=0o700)
    (source / "big.bin").write_bytes(os.urandom(360 * 4096))
    command = 'mount -t tmpfs -o size=3m,mode=700 tmpfs "$1" && exec "$3" -c "$4" "$1" "$2"'
    said = subprocess.run(
        ["unshare", "-m", "sh", "-c", command, "sh", str(home), str(source), sys.executable, FULL],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if "mount:" in said.stderr:
        pytest.skip(f"no small disk can be mounted here: {said.stderr.strip()}")
    assert said.returncode == 0, said.stderr
