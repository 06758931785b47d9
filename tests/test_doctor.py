"""doctor: what would hurt runs here is found, on machines that these tests only pretend to be."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

import pytest

from jupyter_mlrun import doctor
from jupyter_mlrun.agent import client
from jupyter_mlrun.store.home import open_home

DROP_INS = "etc/systemd/logind.conf.d"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine's files: nothing special."""
    made = tmp_path / "root"
    (made / "proc/1").mkdir(parents=True)
    (made / "proc/1/comm").write_text("systemd\n")
    (made / "proc/self").mkdir()
    (made / "proc/self/mountinfo").write_text("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n")
    (made / "etc/systemd/logind.conf.d").mkdir(parents=True)
    return made


def found(home: Path, root: Path) -> dict[str, list[doctor.Finding]]:
    result: dict[str, list[doctor.Finding]] = {}
    for one in doctor.doctor(home, root=root):
        result.setdefault(one.what, []).append(one)
    return result


def session(home: Path, root: Path) -> list[doctor.Finding]:
    # the home of a test is below the temporary folder, which is a finding of its own
    return [one for one in found(home, root).get("session", []) if "temporary" not in one.text]


def test_a_plain_machine(home: Path, root: Path) -> None:
    open_home(home)
    told = found(home, root)
    assert {one.level for key, ones in told.items() if key != "session" for one in ones} == {"ok"}
    assert session(home, root) == []
    assert "none runs" in told["agent"][0].text
    assert "CPU cores" in told["machine"][0].text
    client.ensure_agent(home)
    who = client.agent_of(home)
    assert who is not None
    assert f"pid {who['pid']}" in found(home, root)["agent"][0].text


def test_homes(home: Path, root: Path) -> None:
    assert "made by the first run" in found(home, root)["home"][0].text
    open_home(home)
    home.chmod(0o755)
    assert found(home, root)["home"][0].cure == f"chmod 700 '{home}'"
    home.chmod(0o777)
    assert found(home, root)["home"][0].level == "fail"
    home.chmod(0o700)
    (home / "format.json").write_text('{"format": 99}')
    assert "upgrade" in found(home, root)["home"][0].cure


def test_a_temporary_home_is_named(home: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert [one.level for one in found(home, root)["session"] if "temporary" in one.text] == ["warn"]


def test_inside_slurm(home: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    assert "Slurm job 77" in session(home, root)[0].text


@pytest.mark.parametrize(("first", "level"), [("python3", "warn"), ("tini", "ok")])
def test_inside_a_container(home: Path, root: Path, first: str, level: str) -> None:
    (root / ".dockerenv").touch()
    (root / "proc/1/comm").write_text(first + "\n")
    (one,) = session(home, root)
    assert one.level == level
    assert first in one.text


@pytest.mark.parametrize(
    ("files", "kills"),
    [
        ({"etc/systemd/logind.conf": "[Login]\n#KillUserProcesses=yes\n"}, False),
        ({"etc/systemd/logind.conf": "[Login]\nKillUserProcesses=yes\n"}, True),
        ({"etc/systemd/logind.conf": "KillUserProcesses = TRUE"}, True),
        ({"etc/systemd/logind.conf": "KillUserProcesses=yes", f"{DROP_INS}/a.conf": "KillUserProcesses=no"}, False),
        ({f"{DROP_INS}/a.conf": "KillUserProcesses=no", f"{DROP_INS}/b.conf": "KillUserProcesses=1"}, True),
    ],
)  # fmt: skip
def test_log_out_that_kills(home: Path, root: Path, files: dict[str, str], kills: bool) -> None:
    for name, text in files.items():
        (root / name).write_text(text)
    assert [one.cure for one in session(home, root)] == (["once: loginctl enable-linger"] if kills else [])
    (root / "var/lib/systemd/linger").mkdir(parents=True)
    (root / "var/lib/systemd/linger" / getpass.getuser()).touch()
    assert session(home, root) == []


def test_file_systems(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    folder = os.path.realpath(tmp_path)
    with_space = folder + "/a b"
    os.mkdir(with_space)
    mounts.write_text(
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
        f"2 1 0:5 / {folder} rw shared:1 - nfs4 server:/x rw\n"
        f"3 1 0:6 / {with_space.replace(' ', chr(92) + '040')} rw - xfs /dev/sdb rw\n"
        "a line that is none\n"
    )
    assert doctor.file_system(Path("/"), mounts) == "ext4"
    assert doctor.file_system(tmp_path, mounts) == "nfs4"
    assert doctor.file_system(Path(with_space), mounts) == "xfs"
    assert doctor.file_system(tmp_path, tmp_path / "none") == ""
