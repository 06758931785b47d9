"""Where a running server is; importing what scripts and notebooks import loads none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_mlrun import portal


def test_the_core_knows_no_web_server() -> None:
    code = (
        "import sys, jupyter_mlrun, jupyter_mlrun.cli, jupyter_mlrun.portal, jupyter_mlrun.differences\n"
        "from jupyter_mlrun import Run, Workspace, log\n"
        "sys.exit(any(name.split('.')[0] in ('tornado', 'jupyter_server') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_kernel_knows_whether_its_server_draws_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("JPY_PARENT_PID", str(os.getpid()))
    home = tmp_path / "home"
    assert not portal.started_us(home), "that server has no extension of ours"
    portal.announce("http://127.0.0.1:8888/", home)
    assert portal.started_us(home)
    assert not portal.started_us(tmp_path / "other")
    monkeypatch.setenv("JPY_PARENT_PID", "../1")
    assert not portal.started_us(home)
    monkeypatch.delenv("JPY_PARENT_PID")
    assert not portal.started_us(home)
