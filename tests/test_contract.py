"""The TypeScript of the live view's messages is what the Python says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from jupyter_mlrun.ui import contract

ROOT = Path(__file__).parent.parent


def test_typescript_is_what_python_says() -> None:
    there = contract.TARGET.read_text(encoding="utf-8") if contract.TARGET.is_file() else ""
    assert there == contract.typescript(), f"{contract.TARGET.name} drifted: run `{contract.COMMAND}` and commit it"


def test_check_tells_drift_and_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(contract, "TARGET", tmp_path / "contract.ts")
    assert contract.main(["--check"]) == 1
    assert contract.COMMAND in capsys.readouterr().err
    assert contract.main([]) == 0
    assert contract.main(["--check"]) == 0
    contract.TARGET.write_text(contract.TARGET.read_text() + "\n")
    assert contract.main(["--check"]) == 1


def test_command_works_as_written() -> None:
    command = [sys.executable, *contract.COMMAND.split()[1:], "--check"]
    assert subprocess.run(command, cwd=ROOT, check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("message", [*get_args(contract.FromView), *get_args(contract.FromPython)])
def test_every_message_is_an_interface_with_its_duty(message: Any) -> None:
    made = contract.typescript()
    before, _, fields = made.partition(f"\nexport interface {message.__name__} {{\n")
    assert before.endswith("*/"), "no comment above it"
    for name in message.__annotations__:
        optional = "?" if name in message.__optional_keys__ else ""
        assert f"  {name}{optional}: " in fields.partition("}")[0]


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(TypeError, match="complex"):
        contract._type(complex)
