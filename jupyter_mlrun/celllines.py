"""Replaces IPython's lines (``!cmd``, ``%magic``) in a cell by Python that fills the same lines.

Where such lines stand is decided by IPython's own tokenizer, so text inside strings is never touched.
"""

from __future__ import annotations

import ast
import builtins
import re
from typing import TYPE_CHECKING, Any

from IPython.core import inputtransformer2 as ipython
from IPython.utils.text import DollarFormatter

from jupyter_mlrun.errors import CellError

if TYPE_CHECKING:
    from collections.abc import Collection

BUILTINS = frozenset(dir(builtins))
LEFT_OUT = {"matplotlib", "load_ext", "reload_ext", "autoreload", "config"}
PACKAGES = "name the packages by --env requirements.txt (or a conda .yml)"
VARIABLE = "write os.environ['NAME'] = 'value', or give --env-var NAME=value"
SHELL = "start each command with '!', or use subprocess"
CURES = {
    **dict.fromkeys(("pip", "conda", "mamba", "micromamba", "uv"), PACKAGES),
    **dict.fromkeys(("env", "set_env"), VARIABLE),
    **dict.fromkeys(("bash", "sh", "script", "sx", "system"), SHELL),
    "cd": "write os.chdir('folder'), or give the folder to run in by -s",
    "run": "submit the file itself: %submit FILE.py",
    "time": "keep the statement alone, and measure with time.perf_counter()",
    "timeit": "keep the statement alone, and measure with the timeit module",
    "writefile": "put the file into the folder given by -s",
    "submit": "submit from the notebook, not from inside a run",
}
NO_HELP = "help ('?') works in the notebook only"
NO_CALL = "IPython's call without brackets works in the notebook only"


class _Rewriter:
    """The lines of one cell while they are being replaced."""

    def __init__(self, text: str, names: Collection[str]) -> None:
        self.lines = text.split("\n")
        self.names = frozenset(names)
        self.notes: list[str] = []
        self.changed = self._unindent()

    def _unindent(self) -> bool:
        """As IPython does: the indentation of the first line comes off all lines."""
        first = next((line for line in self.lines if line.strip()), "")
        indent = first[: len(first) - len(first.lstrip(" \t"))]
        if indent:
            self.lines = [line.removeprefix(indent) for line in self.lines]
        return bool(indent)

    def run(self) -> None:
        """Replace until IPython finds nothing more; what follows a special line is tokenized afresh."""
        first = next((at for at, line in enumerate(self.lines) if line.strip()), 0)
        if re.match(r"%%\w", self.lines[first]):
            self._refuse_magic(first, self.lines[first], "%%")
        manager: Any = ipython.TransformerManager  # IPython has no annotations here
        finders = manager().token_transformers
        while True:
            try:
                tokens = ipython.make_tokens_by_line([line + "\n" for line in self.lines])
            except SyntaxError:
                return  # from Python 3.12 on the tokenizer judges indentation; the compiler says it better
            found = [one for one in (finder.find(tokens) for finder in finders) if one is not None]
            if not found:
                return
            self._replace(min(found, key=ipython.TokenTransformBase.sortby))
            self.changed = True

    def _replace(self, found: Any) -> None:
        at, column = found.start_line, found.start_col
        ended = [line + "\n" for line in self.lines]
        last = min(ipython.find_end_of_continued_line(ended, at), len(ended) - 1)
        command = ipython.assemble_continued_line(ended, (at, column), last)
        if isinstance(found, ipython.HelpEnd):
            raise CellError(NO_HELP, line=at + 1, hint="delete this line")
        if isinstance(found, ipython.SystemAssign):
            new = self._captured(command[1:], at)
        elif isinstance(found, ipython.MagicAssign):
            new = self._refuse_magic(at, command, "%")
        else:
            new = self._escaped(command, at)
        self.lines[at : last + 1] = [self.lines[at][:column] + new] + [""] * (last - at)

    def _escaped(self, command: str, at: int) -> str:
        if command.startswith("!!"):
            raise CellError("'!!' shows its result in the notebook only", line=at + 1, hint="use '!' or x = !cmd")
        if command.startswith("!"):
            return self._shown(command[1:], at)
        if command.startswith("%"):
            return self._magic(command, at)
        reason = NO_HELP if command.startswith("?") else NO_CALL
        raise CellError(reason, line=at + 1, hint="write it as Python, or delete this line")

    def _magic(self, command: str, at: int) -> str:
        name = re.match(r"%+\s*([\w.]*)", command)
        if command.startswith("%%") or name is None or name[1] not in LEFT_OUT or command.endswith("?"):
            return self._refuse_magic(at, command, "%%" if command.startswith("%%") else "%")
        self.notes.append(f"cell line {at + 1}: '{command}' is left out of the run")
        return f"pass  # {command}"

    def _refuse_magic(self, at: int, command: str, sign: str) -> str:
        name = re.match(r"%+\s*([\w.]*)", command)
        word = name[1] if name is not None else ""
        raise CellError(
            f"'{sign}{word}' is a magic of the notebook and cannot run here",
            line=at + 1,
            hint=CURES.get(word, "write it as Python, or put it into another cell"),
        )

    def _shown(self, command: str, at: int) -> str:
        """Like IPython: output appears as it comes, failure raises nothing, the exit code is kept."""
        if re.match(r"\s*(pip3?|conda|mamba|uv)\s+\w*\s*install", command):
            self.notes.append(f"cell line {at + 1}: installs packages while the run goes on; better {PACKAGES}")
        flush = '__import__("sys").stdout.flush()'  # what was printed before comes before in the log
        call = f'__import__("subprocess").call({self._expression(command, at)}, shell=True)'
        return f"_exit_code = ({flush}, {call})[1]"

    def _captured(self, command: str, at: int) -> str:
        run = f'__import__("subprocess").run({self._expression(command, at)}, shell=True, '
        return f'{run}stdout=-1, stderr=-2, text=True, errors="replace").stdout.splitlines()'

    def _expression(self, command: str, at: int) -> str:
        """The command as a Python expression, with ``{x}`` and ``$x`` as IPython understands them."""
        try:
            template, fields = self._fields(command)
        except (ValueError, SyntaxError):
            if "{" in command.replace("${", ""):
                self.notes.append(f"cell line {at + 1}: the braces are left to the shell")
            return repr(command)
        if not fields:
            return repr(template.format())
        return f"{template!r}.format({', '.join(fields)})"

    def _fields(self, command: str) -> tuple[str, list[str]]:
        """A format string and its values; ValueError where IPython would leave the command alone."""
        template, fields = "", []
        for literal, field, spec, conversion in DollarFormatter().parse(command):
            template += literal.replace("{", "{{").replace("}", "}}")
            if field is None:
                continue
            tree = ast.parse(field.strip(), mode="eval")
            used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
            # IPython would put `print` or 1 in place of awk's {print} or $1: there has to be a name of the cell
            if not used & self.names or not used - self.names <= BUILTINS or "{" in (spec or ""):
                raise ValueError(field)
            template += f"{{{'!' + conversion if conversion else ''}{':' + spec if spec else ''}}}"
            fields.append(f"({field.strip()})")
        return template, fields


def replace_ipython_lines(text: str, names: Collection[str]) -> tuple[str, tuple[str, ...]] | None:
    """The cell as Python with the same lines, and notes for the user; None if nothing had to change.

    ``names`` are those that ``{x}`` and ``$x`` in a command may mean; others are left to the shell.
    """
    rewriter = _Rewriter(text, names)
    rewriter.run()
    return ("\n".join(rewriter.lines), tuple(rewriter.notes)) if rewriter.changed else None
