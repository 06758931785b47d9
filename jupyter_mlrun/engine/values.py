"""The values of parameters, as papermill records them and as the notebook's language writes them.

Reads and writes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from papermill.translators import PythonTranslator, papermill_translators

from jupyter_mlrun.literals import source_of
from jupyter_mlrun.parameters import parse_parameter

if TYPE_CHECKING:
    from collections.abc import Mapping


def parameters_of(recorded: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """The values as ``spec.json`` has them; None for none."""
    return {name: one["value"] for name, one in recorded.items()} or None


def translate_exactly(recorded: Mapping[str, Mapping[str, Any]]) -> None:
    """Make papermill write each value of a Python notebook as the literal that was given, whatever is in it.

    papermill itself makes strings of tuples, sets and bytes.
    """
    sources = {name: source_of(parse_parameter(f"{name}={one['text']}").value) for name, one in recorded.items()}

    class Exact(PythonTranslator):  # type: ignore[misc,unused-ignore]
        @classmethod
        def codify(cls, parameters: Mapping[str, Any], comment: str = "Parameters") -> str:
            lines = [f"{name} = {sources[name]}\n" for name in parameters]
            return f"# {comment}\n{''.join(lines)}"

    papermill_translators.register("python", Exact)
