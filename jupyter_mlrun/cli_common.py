"""What the verbs of the command line share: the home, naming runs, and printing what does nothing to a terminal."""

from __future__ import annotations

import io
import json
import math
import re
from typing import TYPE_CHECKING, Any, TextIO

import click

from jupyter_mlrun.errors import BadInput
from jupyter_mlrun.words import did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_mlrun.sdk.run import Run

# every sequence but those that colour; what is left of one that was cut is text
_ESCAPES = re.compile(r"\x1b(?!\[[0-9;]*m)(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?|.?)")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f\x80-\x9f]")
json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")


class Group(click.Group):
    """Lists the verbs in the order of a run's life, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that *args* begin with; for none, the nearest in the hint."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            shown = [name for name, command in self.commands.items() if not command.hidden]
            raise BadInput(f"no verb {args[0]!r}", hint=did_you_mean(args[0], shown))
        return super().resolve_command(ctx, args)


def home() -> Path:
    """The home, if this program may use it; it is not made."""
    from jupyter_mlrun.homepath import default_home
    from jupyter_mlrun.store.home import open_home

    return open_home(default_home(), create=False)


def find(text: str) -> Run:
    """The run that *text* names."""
    from jupyter_mlrun.sdk import find as sdk

    return sdk.find(home(), text)


def print_json(value: Any) -> None:
    """Print *value* as JSON that every reader takes."""
    click.echo(json.dumps(_valid(value), indent=2, default=str, allow_nan=False))


def _valid(value: Any) -> Any:
    """The same as JSON can hold it: NaN and the infinities become words that ``float`` reads."""
    if isinstance(value, dict):
        return {str(key): _valid(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_valid(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def say(text: str, *, err: bool = False) -> None:
    """Print text that has names from elsewhere in it."""
    click.echo(for_terminal(text), err=err)


class Terminal(io.TextIOBase):
    """A stream that passes on what does nothing to a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        self.stream.write(for_terminal(text))
        return len(text)

    def flush(self) -> None:
        self.stream.flush()


def for_terminal(piece: str) -> str:
    """Colours, tabs and carriage returns stay; whatever else would act on the terminal goes."""
    return _CONTROLS.sub("", _ESCAPES.sub("", piece))
