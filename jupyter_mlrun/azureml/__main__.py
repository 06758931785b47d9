"""``python -m jupyter_mlrun.azureml SCRIPT.py [ARG…]`` runs SCRIPT as Python would, with our ``azureml``.

Reads the script; writes nothing.  The Pythons that it starts (multiprocessing's children, too) get the same.
"""

from __future__ import annotations

import os
import sys

from jupyter_mlrun.azureml._finder import take_name
from jupyter_mlrun.worker import bootstrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

USAGE = (
    "usage: python -m jupyter_mlrun.azureml SCRIPT.py [ARG…]\n\nRun SCRIPT.py with `azureml` meaning jupyter_mlrun.\n"
)
FORCED = "AZUREML_IS_JUPYTER_MLRUN"


def _prepare() -> None:
    """Our ``azureml`` here and in children, also where a real one is installed."""
    take_name()
    # the shim tells by this that it need not look for a real one; in a run that is submitted from here the
    # second variable differs, and it looks
    os.environ[FORCED] = os.environ.get("JUPYTER_MLRUN_RUN_DIR", "outside")
    old = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = bootstrap.SHIM + os.pathsep + old if old else bootstrap.SHIM
    # spawned children get our sys.path in place of their own
    sys.path.insert(bootstrap.script_entries(), bootstrap.SHIM)


def main() -> None:
    """Run the script; what it raises is shown without our own frames, by the interpreter itself."""
    if len(sys.argv) < 2 or sys.argv[1] in {"-h", "--help"}:
        asked = len(sys.argv) > 1
        (sys.stdout if asked else sys.stderr).write(USAGE)
        sys.exit(0 if asked else 2)
    script = os.path.abspath(sys.argv[1])
    try:
        with open(script, "rb") as file:
            source = file.read()
    except OSError as problem:
        sys.stderr.write(f"{sys.executable}: can't open file {script!r}: [Errno {problem.errno}] {problem.strerror}\n")
        sys.exit(2)
    sys.argv[:] = sys.argv[1:]
    _prepare()
    names = bootstrap.become_main(script)
    try:
        exec(compile(source, script, "exec", dont_inherit=True), names)  # noqa: S102 -- it is asked to
    except Exception:
        sys.excepthook = _without_our_frames(sys.excepthook, names)
        raise
    except KeyboardInterrupt:
        sys.excepthook = _without_our_frames(sys.excepthook, names)
        raise


def _without_our_frames(show: Callable[..., Any], names: dict[str, Any]) -> Callable[..., Any]:
    def hook(kind: type[BaseException], problem: BaseException, trace: TracebackType | None) -> None:
        while trace is not None and trace.tb_frame.f_globals is not names:
            trace = trace.tb_next
        show(kind, problem.with_traceback(trace), trace)

    return hook


if __name__ == "__main__":
    main()
