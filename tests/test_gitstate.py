"""The state of a repository is a part of what is recorded, without what it may keep secret."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from jupyter_mlrun.store import gitstate
from tests.support import PATIENCE, finish, submit_cell


def git(folder: Path, *words: str) -> str:
    said = ["-c", "user.name=somebody", "-c", "user.email=some@body", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *said, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may need longer for an answer than a submit would wait for it."""
    monkeypatch.setattr(gitstate, "SECONDS", PATIENCE)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "trunk")
    (folder / "train.py").write_text("print(1)\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_a_clean_repository(repository: Path) -> None:
    git(repository, "remote", "add", "origin", "https://somebody:secret@example.org/code.git")
    (repository / "sub").mkdir()
    found = gitstate.of(repository / "sub")
    commit = git(repository, "rev-parse", "HEAD")
    assert found == {"commit": commit, "branch": "trunk", "dirty": False, "remote": "https://example.org/code.git"}


def test_what_is_not_committed_counts(repository: Path) -> None:
    (repository / "train.py").write_text("print(2)\n")
    found = gitstate.of(repository)
    assert found is not None
    assert found["dirty"]
    assert found["remote"] is None


def test_a_detached_head_has_no_branch(repository: Path) -> None:
    git(repository, "checkout", "-q", "--detach")
    found = gitstate.of(repository)
    assert found is not None
    assert found["branch"] is None


def test_no_repository_no_commit_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gitstate.of(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert gitstate.of(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gitstate.of(tmp_path) is None


def test_a_repository_runs_nothing(repository: Path, tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\n")
    hook.chmod(0o700)
    git(repository, "config", "core.fsmonitor", str(hook))
    assert gitstate.of(repository) is not None
    assert not (tmp_path / "ran").exists()


def test_a_run_keeps_it(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    run = submit_cell("pass")
    assert run.spec.git is not None
    assert run.spec.git["branch"] == "trunk"
    finish(run)


def test_an_answer_that_takes_too_long_is_none(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "bin/git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 600\n")
    slow.chmod(0o700)
    monkeypatch.setenv("PATH", str(slow.parent), prepend=os.pathsep)
    monkeypatch.setattr(gitstate, "SECONDS", 0.0)
    with gitstate.Asked(repository) as asked:
        assert asked.answer() is None
    assert [one.returncode for one in asked._asked if one] == [-signal.SIGKILL] * 2


def test_a_question_that_nobody_waits_for_leaves_no_process(repository: Path) -> None:
    with gitstate.Asked(repository) as asked:
        pass
    assert [one.returncode is not None for one in asked._asked if one] == [True, True]
