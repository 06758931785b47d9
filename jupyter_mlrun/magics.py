"""The magics: each parses its line, calls one function and displays what came of it.

Reads the notebook's namespace; writes ``_run`` (and ``-o VAR``) into it.
"""

from __future__ import annotations

import argparse
import keyword
import os
import re
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, no_var_expand
from traitlets.config import Config

from jupyter_mlrun import live, package, settings
from jupyter_mlrun.errors import BadInput, JupyterMLRunError
from jupyter_mlrun.options import OPTIONS, Option
from jupyter_mlrun.records import experiment_name
from jupyter_mlrun.sdk import warming
from jupyter_mlrun.sdk.data import upload_data
from jupyter_mlrun.sdk.inputs import describe, marked, names_of
from jupyter_mlrun.sdk.run import detached
from jupyter_mlrun.sdk.submit import Request, dry_run, submit
from jupyter_mlrun.sdk.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_mlrun.sdk.data import FileDataset
    from jupyter_mlrun.sdk.run import Run

NAMES = ("submit", "upload_data", "mlrun")


class _Parser(argparse.ArgumentParser):
    """argparse that raises our error instead of leaving the interpreter."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{self.prog}: {message}", hint=f"{self.prog} --help shows the options")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:  # noqa: ARG002 -- argparse's own signature
        raise _Help(message or "")


class _Help(JupyterMLRunError):
    """The help was asked for and has been printed."""

    def _render_traceback_(self) -> list[str]:
        return []


def parser(prog: str, *, file: bool) -> argparse.ArgumentParser:
    """The options of ``%%submit`` (and, with *file*, of ``%submit FILE``)."""
    made = _Parser(prog=prog, add_help=True, allow_abbrev=False)
    if file:
        made.add_argument("script", metavar="FILE.py|NOTEBOOK.ipynb", help="the script or notebook to run")
    for option in OPTIONS:
        if option.only != "cli":
            _add(made, option)
    return made


def _add(made: argparse.ArgumentParser, option: Option) -> None:
    if option.metavar is None:
        made.add_argument(*option.flags, dest=option.name, action="store_true", help=option.help)
    elif option.repeat:
        made.add_argument(
            *option.flags, dest=option.name, action="append", default=[], metavar=option.metavar, help=option.help
        )
    else:
        made.add_argument(
            *option.flags, dest=option.name, default=None, type=option.kind, metavar=option.metavar, help=option.help
        )


def upload_parser() -> argparse.ArgumentParser:
    """The options of ``%upload_data``."""
    made = _Parser(prog="%upload_data", add_help=True, allow_abbrev=False)
    made.add_argument("source", metavar="SRC", help="the folder or file to upload")
    made.add_argument("target", metavar="TARGET", nargs="?", help="path on the datastore; default: the source's name")
    made.add_argument("--datastore", metavar="D", help="default: the workspace's default datastore")
    made.add_argument("--name", metavar="DATASET", help="the data set's name; default: the target's last step")
    made.add_argument("--overwrite", action="store_true", help="replace files that are there and differ")
    made.add_argument("-o", "--output", metavar="VAR", help="variable for the data set version")
    return made


def split_line(line: str, names: dict[str, object]) -> tuple[list[str], list[str]]:
    """The words of a magic's line before and after ``--``; ``{x}`` is expanded in those before it."""
    try:
        words = shlex.split(line)
    except ValueError as problem:
        raise BadInput(f"the line cannot be split into words: {problem}", hint="close the quotes") from problem
    cut = words.index("--") if "--" in words else len(words)
    options = [package.expand(word, names) for word in words[:cut]]
    return options, words[cut + 1 :]


def arguments_of(words: list[str], names: dict[str, object], inputs: list[str]) -> tuple[str, ...]:
    """The words after ``--`` with ``{x}`` made an input's path (when the run begins) or a variable's value."""
    known = {**names, **{name: marked(name) for name in inputs}}
    return tuple(package.expand(word, known) for word in words)


@magics_class
class MLRunMagics(Magics):
    """``%%submit``, ``%submit``, ``%upload_data`` and ``%mlrun``."""

    @property
    def _shell(self) -> Any:
        assert self.shell is not None, "magics are made by a shell"
        return self.shell

    @property
    def namespace(self) -> dict[str, Any]:
        """The notebook's names."""
        found: dict[str, Any] = self._shell.user_ns
        return found

    @property
    def own_names(self) -> dict[str, object]:
        """Those that its user made, and not IPython (``In``, ``exit``, …)."""
        hidden = self._shell.user_ns_hidden
        return {
            name: value
            for name, value in self.namespace.items()
            if not name.startswith("__") and hidden.get(name, hidden) is not value
        }

    @no_var_expand
    @line_cell_magic
    def submit(self, line: str, cell: str | None = None) -> Run | None:
        """Submit this cell (``%%submit [options]``) or a file (``%submit FILE [options] [-- ARG …]``)."""
        made = parser("%submit" if cell is None else "%%submit", file=cell is None)
        options, arguments = split_line(line, self.own_names)
        try:
            asked = made.parse_args(options)
        except _Help:
            return None
        request = self._request(asked, cell, arguments)
        config = self._settings()
        if asked.dry_run:
            print(dry_run(request, config))
            return None
        run = submit(request, config)
        self.namespace["_run"] = run
        if asked.output:
            self.namespace[asked.output] = run
        try:
            self._show(run, asked, config)
        except KeyboardInterrupt:
            # the run is on its way: only what happens here ends
            print(detached(run.id))
            return None
        if asked.block:
            with suppress(KeyboardInterrupt):
                run.wait_for_completion(show_output=not asked.quiet)
        return None

    def _request(self, asked: argparse.Namespace, cell: str | None, arguments: list[str]) -> Request:
        values = {o.name: getattr(asked, o.name) for o in OPTIONS if o.only != "cli"}
        for name in ("output", "block", "quiet", "dry_run"):
            values.pop(name)
        use = [name.strip() for part in values.pop("use") for name in part.split(",") if name.strip()]
        given: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in values.items() if v is not None
        }
        _check_variable(asked.output)
        notebook = notebook_path(self.namespace)
        given.setdefault("experiment", experiment_of(notebook))
        return Request(
            cell=cell,
            script=None if cell is not None else asked.script,
            use=tuple(use),
            namespace=_public(self.namespace, self._shell.user_ns_hidden),
            arguments=arguments_of(arguments, self.own_names, names_of(asked.inputs)),
            cwd=os.getcwd(),
            notebook=notebook,
            client="magic",
            **given,
        )

    def _settings(self) -> settings.JupyterMLRun:
        return _in_force(self._shell)

    def _show(self, run: Run, asked: argparse.Namespace, config: settings.JupyterMLRun) -> None:
        if asked.quiet:
            print(run.id)
        else:
            spec = run.spec
            print(f"{spec.experiment} → {spec.target}: run {spec.run_id} (in _run{_named(asked.output)})")
            for one in spec.inputs:
                print(f"input {describe(one)}")
            if spec.left_out:
                shown = ", ".join(path for path, _ in spec.left_out[:8])
                more = f" and {len(spec.left_out) - 8} more" if len(spec.left_out) > 8 else ""
                print(f"left out of the snapshot: {shown}{more}")
            live.show(run, refresh=config.live_view)

    @no_var_expand
    @line_magic
    def upload_data(self, line: str) -> FileDataset | None:
        """Upload a folder or file and register it: ``%upload_data SRC [TARGET] [options]``; twice moves nothing."""
        options, more = split_line(line, self.own_names)
        try:
            asked = upload_parser().parse_args([*options, *more])
        except _Help:
            return None
        _check_variable(asked.output)
        dataset = upload_data(
            Workspace(self._settings().workspace),
            asked.source,
            asked.target,
            datastore=asked.datastore,
            name=asked.name,
            overwrite=asked.overwrite,
        )
        if asked.output:
            self.namespace[asked.output] = dataset
        return dataset

    @no_var_expand
    @line_magic
    def mlrun(self, line: str) -> None:
        """The command line's ``jupyter mlrun VERB …``, here."""
        from jupyter_mlrun import cli

        options, arguments = split_line(line, self.own_names)
        given = [package.expand(word, self.own_names) for word in arguments]
        cli.run_here([*options, *(["--", *given] if given else [])])


def _is_variable(name: str) -> bool:
    # a name like __builtins__ or __name__ is Python's own: the notebook would break
    return name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("__")


def _check_variable(name: str | None) -> None:
    if name is not None and not _is_variable(name):
        raise BadInput(f"-o {name!r} is no name for a variable", hint="for example: -o first_run")


def _named(variable: str | None) -> str:
    return f" and {variable}" if variable else ""


def _public(namespace: dict[str, object], hidden: dict[str, object]) -> dict[str, object]:
    """What the user has defined, without IPython's own names."""
    return {k: v for k, v in namespace.items() if not k.startswith("_") and hidden.get(k, hidden) is not v}


def _set_values(found: settings.JupyterMLRun) -> dict[str, Any]:
    return {name: getattr(found, name) for name in found.trait_names(config=True)}


def notebook_path(namespace: dict[str, object]) -> str | None:
    """The notebook's path, where the server or VS Code tells it."""
    told = namespace.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
    return str(told) if told else None


def experiment_of(notebook: str | None) -> str:
    """The experiment's name that a notebook gives."""
    stem = Path(notebook).stem if notebook else ""
    return experiment_name(stem) if re.search(r"\w", stem) else "notebook"


def load(shell: Any) -> None:
    """Register the magics and the settings; again is no error and makes nothing double."""
    if not any(isinstance(one, settings.JupyterMLRun) for one in shell.configurables):
        shell.configurables.append(settings.JupyterMLRun(config=shell.config))
        shell.configurables[-1].observe(lambda _: _warm_up(shell), names=["preload"])
    shell.register_magics(MLRunMagics)
    _warm_up(shell)


def _warm_up(shell: Any) -> None:
    """What runs will have loaded ahead is loaded while the first of them is written."""
    try:
        warming.begin(_in_force(shell))
    except JupyterMLRunError as problem:  # a setting that cannot be: each submit says so, and refuses
        print(problem, file=sys.stderr)


def _in_force(shell: Any) -> settings.JupyterMLRun:
    found = [c for c in shell.configurables if isinstance(c, settings.JupyterMLRun)]
    return settings.load(Config({"JupyterMLRun": _set_values(found[0])}) if found else Config())


def unload(shell: Any) -> None:
    """Take the magics away."""
    table: dict[str, dict[str, Callable[..., Any]]] = shell.magics_manager.magics
    for kind in table.values():
        for name in NAMES:
            kind.pop(name, None)
    # by name: a reloaded module has other classes of the same name
    ours = {"JupyterMLRun", "MLRunMagics"}
    shell.configurables[:] = [one for one in shell.configurables if type(one).__name__ not in ours]
