"""Runs a Python script of a run as ``python SCRIPT`` would, and notes how it ended.

Started as ``python -u bootstrap.py RANK SCRIPT [ARG…]`` in the working folder.  Writes
``rank-<n>.exit.json``: the only witness when the worker was killed.  Standard library only, and few modules
of it: they are part of the user's process.
"""

from __future__ import annotations

import os
import sys

HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHIM = os.path.join(HOME, "jupyter_mlrun", "azureml", "shim")
_hidden: dict[str, object] = {}  # modules of the fork server that a cold start has not loaded


def _note(run_dir, rank, code, error):
    """Write how this rank ended, whole or not at all; never a reason to fail."""
    import json
    import time

    path = os.path.join(run_dir, "rank-%s.exit.json" % rank)
    aside = "%s.%d.new" % (path, os.getpid())
    record = {"exit_code": code, "error": error, "time": time.time()}
    try:
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump(record, file)
        os.replace(aside, path)
    except OSError as problem:
        sys.stderr.write("jupyter_mlrun: cannot note how the run ended: %s\n" % problem)


def _exit_code(error):
    """The exit code that the interpreter gives for this SystemExit."""
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    return 1


def python_path(old: str, *folders: str) -> str:
    """The PYTHONPATH *old* with *folders* behind the rest, each once."""
    have = old.split(os.pathsep) if old else []
    return os.pathsep.join(have + [folder for folder in folders if folder not in have])


def script_entries() -> int:
    """How many entries at the head of ``sys.path`` are the script's folder."""
    return 0 if getattr(sys.flags, "safe_path", False) else 1


def _make_importable():
    """Make ``import jupyter_mlrun`` work here and in children, behind everything that is installed, and ``azureml``.

    The shim stands before what is installed and looks itself whether a real ``azureml.core`` is there: other
    distributions may have a package of that name without it.
    """
    import importlib.util

    needed = [SHIM]
    if importlib.util.find_spec("jupyter_mlrun") is None:
        needed.append(HOME)
        sys.path.append(HOME)
    if SHIM not in sys.path:
        sys.path.insert(script_entries(), SHIM)
    os.environ["PYTHONPATH"] = python_path(os.environ.get("PYTHONPATH", ""), *needed)
    if "azureml.core" not in sys.modules:
        # a namespace that some distribution's .pth file made: the next import looks again, and finds the shim
        sys.modules.pop("azureml", None)


def become_main(script: str) -> dict[str, object]:
    """Make the ``__main__`` module that ``python SCRIPT`` makes; returns its names, to run the script in."""
    import builtins
    import types

    if script_entries():
        sys.path[0] = os.path.dirname(script)
    module = types.ModuleType("__main__")
    module.__dict__.update(__file__=script, __builtins__=builtins, __cached__=None)
    # the old main module must outlive its place in sys.modules: its functions look up their globals in it
    sys.modules["_jupyter_mlrun_main"] = sys.modules["__main__"]
    sys.modules["__main__"] = module
    return module.__dict__


def _serve():
    """Be a fork server (``worker/warm.py``); returns in a forked rank alone, as what a cold start is here."""
    import importlib.util  # noqa: F401 -- whatever a cold start has loaded before user code, and nothing else yet
    import time

    began = time.time()
    control, wanted, problem = int(sys.argv[2]), tuple(filter(None, sys.argv[3].split(","))), ""
    own = [sys.path.pop(0) for _ in range(script_entries())]
    cold = frozenset(sys.modules)
    try:
        for name in wanted:
            __import__(name)
    except BaseException as error:
        problem = "%s cannot be preloaded: %s: %s" % (name, type(error).__name__, error)
    kept, importers = frozenset(sys.modules), frozenset(sys.path_importer_cache)
    sys.path.insert(0, HOME)
    from jupyter_mlrun.worker import warm
    from jupyter_mlrun.worker.forked import KEPT

    command = warm.serve(control, began, cold, kept, wanted, problem)
    sys.path[:1] = own
    sys.argv[:] = command[2:]
    getattr(sys, "orig_argv", [])[:] = command
    # the modules go, but for those that must not be there twice; their code is still in use
    keep = kept.union(KEPT)
    _hidden.update((name, sys.modules.pop(name)) for name in list(sys.modules) if name not in keep)
    for path in set(sys.path_importer_cache) - importers:
        del sys.path_importer_cache[path]


def main():
    """Run the script as ``__main__``, so that pickling, spawn and tracebacks are as always."""
    if sys.argv[1] == "serve":
        _serve()
    rank, script = sys.argv[1], os.path.abspath(sys.argv[2])
    run_dir = os.environ["JUPYTER_MLRUN_RUN_DIR"]
    sys.argv[:] = sys.argv[2:]
    _make_importable()
    names = become_main(script)
    code, error = 0, None
    try:
        with open(script, "rb") as file:
            source = file.read()
        # an absolute name, so that tracebacks find the source after a chdir
        exec(compile(source, script, "exec", dont_inherit=True), names)
    except SystemExit as problem:
        code = _exit_code(problem)
        error = problem.code if isinstance(problem.code, str) else getattr(problem, "reason", None)
        raise
    except BaseException as problem:
        code, error = 1, "%s: %s" % (type(problem).__name__, str(problem)[:2000])
        trace = problem.__traceback__
        # our own frame says nothing to the user
        problem.__traceback__ = trace.tb_next if trace is not None else None
        sys.excepthook(type(problem), problem, problem.__traceback__)
        if isinstance(problem, KeyboardInterrupt):
            code = 130
        sys.exit(code)
    finally:
        _note(run_dir, rank, code, error)


if __name__ == "__main__":
    main()
