"""The TypeScript of the live view's messages is what the Python says."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from jupyter_mlrun.server import api
from jupyter_mlrun.ui import contract
from jupyter_mlrun.ui.typescript import Messages, type_of
from tests.support import PATIENCE

ROOT = Path(__file__).parent.parent


BOTH = [contract.MESSAGES, api.MESSAGES]
both = pytest.mark.parametrize("messages", BOTH, ids=["contract", "api"])


@both
def test_typescript_is_what_python_says(messages: Messages) -> None:
    there = messages.target.read_text(encoding="utf-8") if messages.target.is_file() else ""
    assert there == messages.typescript(), f"{messages.target.name} drifted: run `{messages.command}` and commit it"


@both
def test_check_tells_drift_and_its_cure(messages: Messages, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    moved = replace(messages, target=tmp_path / "made.ts")
    assert moved.main(["--check"]) == 1
    assert messages.command in capsys.readouterr().err
    assert moved.main([]) == 0
    assert moved.main(["--check"]) == 0
    moved.target.write_text(moved.target.read_text() + "\n")
    assert moved.main(["--check"]) == 1


@both
def test_command_works_as_written(messages: Messages) -> None:
    command = [sys.executable, *messages.command.split()[1:], "--check"]
    assert subprocess.run(command, cwd=ROOT, check=False, timeout=PATIENCE).returncode == 0


@pytest.mark.parametrize("message", [*get_args(contract.FromView), *get_args(contract.FromPython)])
def test_every_message_is_an_interface_with_its_duty(message: Any) -> None:
    made = contract.MESSAGES.typescript()
    before, _, fields = made.partition(f"\nexport interface {message.__name__} {{\n")
    assert before.endswith("*/"), "no comment above it"
    for name in message.__annotations__:
        optional = "?" if name in message.__optional_keys__ else ""
        assert f"  {name}{optional}: " in fields.partition("}")[0]


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(TypeError, match="complex"):
        type_of(complex)
