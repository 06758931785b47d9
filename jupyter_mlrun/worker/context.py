"""A run seen from inside: ``log`` and the run that this process belongs to.

Reads the variables that the worker set; writes metrics through ``segment``, the rest through modules that are
imported when they are first used.  Standard library only, and little of it: every training script imports this.
"""

from __future__ import annotations

import os
import sys

from . import segment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Mapping, NoReturn, Optional, Sequence, Type, TypeVar, Union

    Here = TypeVar("Here", bound="RunContext")

RUN_DIR = "JUPYTER_MLRUN_RUN_DIR"
RUN_ID = "JUPYTER_MLRUN_RUN_ID"
_OUTSIDE = "log() does nothing here: this process belongs to no run (submit the cell with %%submit)"
_writers: dict = {}  # type: ignore[type-arg]
# what os.environ itself looks into: asking it costs as much as logging a value does
_environ = vars(os.environ).get("_data", {})
_RUN_DIR = os.fsencode(RUN_DIR)
_warned: set = set()  # type: ignore[type-arg]


def _warn_once(text: str) -> None:
    if text not in _warned:
        _warned.add(text)
        sys.stderr.write("jupyter_mlrun: " + text + "\n")


def _open(run_dir: str) -> Optional[segment.MetricWriter]:
    """This process' writer of that run; None, with a warning, where there is no such run."""
    if not os.path.isdir(run_dir):
        _warn_once("metrics are not kept: the run's folder is gone: " + run_dir)
        return None
    writer = _writers[run_dir] = segment.for_process(os.path.join(run_dir, "metrics"))
    return writer


def _current() -> Optional[segment.MetricWriter]:
    """The writer of the run that this process belongs to; None, with a warning, where it belongs to none."""
    run_dir = os.environ.get(RUN_DIR)
    if not run_dir:
        _warn_once(_OUTSIDE)
        return None
    writer = _writers.get(run_dir) or _open(run_dir)
    if writer is not None and _RUN_DIR in _environ:
        _writers[_environ[_RUN_DIR]] = writer
    return writer


def log(
    name: Union[str, Mapping[str, Any]],
    value: Any = None,
    description: str = "",
    step: Optional[int] = None,
) -> None:
    """Log one metric (``log("loss", 0.3, step=7)``) or several of one step (``log({"loss": 0.3}, step=7)``).

    Costs about a microsecond, loses nothing to ``kill -9`` and never raises into training: misuse warns once
    and is counted (``JUPYTER_MLRUN_STRICT=1`` raises).  Outside of a run it says so once and does nothing.

    Args:
        name: the metric, or a mapping of metrics to values that belong to one step.
        value: int, float, bool, str, None, or anything with ``.item()`` (NumPy and torch scalars).
        description: accepted for the reference's sake; not kept.
        step: a whole number; None counts the points of each metric.
    """
    writer = _writers.get(_environ.get(_RUN_DIR)) or _current()
    if writer is None:
        return
    if isinstance(name, str):
        writer.log(name, value, step)
    else:
        writer.log_row(name, value if step is None and value is not None else step)


class InputDatasets(dict):  # type: ignore[type-arg]
    """The inputs of a run: a local path for each name.  Source: ``azureml.core.run.InputDatasets``."""

    def __missing__(self, name: object) -> NoReturn:
        raise KeyError(f"the run has no input {name!r}; it has: {', '.join(self) or 'none'}")


class OutputDatasets(dict):  # type: ignore[type-arg]
    """Always empty.  Source: ``azureml.core.run.OutputDatasets``."""

    def __missing__(self, name: object) -> NoReturn:
        raise KeyError(f"the run has no output {name!r}: write to ./outputs, which is kept")


class RunContext:
    """The run that this process belongs to; what it can do without anything installed."""

    _id: Optional[str] = None

    def __init__(self, run_dir: str) -> None:
        self._run_dir = run_dir

    # ---- which run it is ---------------------------------------------------------------------------------

    @classmethod
    def get_context(
        cls: Type[Here], allow_offline: bool = True, used_for_context_manager: bool = False, **_: Any
    ) -> Here:
        """The run that this process belongs to; outside of one, an offline run: a real run of this process.

        An offline run belongs to the experiment ``OfflineRun``; processes that this one starts join it.

        Raises ``RunEnvironmentError`` outside of a run where *allow_offline* is False, and where the package is
        not whole.  Source: ``azureml.core.Run.get_context``.
        """
        del used_for_context_manager  # of the reference; without a meaning here
        run_dir = os.environ.get(RUN_DIR)
        if run_dir:
            return cls._of(run_dir)
        if allow_offline:
            return cls._offline()
        raise cls._no_run("submit it: %%submit in a notebook, or jupyter mlrun submit SCRIPT.py")

    @classmethod
    def get_submitted_run(cls: Type[Here], **_: Any) -> Here:
        """``get_context(allow_offline=False)``.  Source: ``azureml.core.Run.get_submitted_run``."""
        return cls.get_context(allow_offline=False)

    @classmethod
    def _of(cls: Type[Here], run_dir: str) -> Here:
        return cls(run_dir)

    @classmethod
    def _offline(cls: Type[Here]) -> Here:
        raise cls._no_run("submit it, or install the package here for offline runs: pip install jupyter-mlrun")

    @staticmethod
    def _no_run(hint: str) -> Exception:
        from ..errors import RunEnvironmentError

        return RunEnvironmentError("this process belongs to no run", hint=hint)

    def __getattr__(self, name: str) -> NoReturn:
        more = "; it may need the whole package here: pip install jupyter-mlrun" if type(self) is RunContext else ""
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{more}")

    @property
    def id(self) -> str:
        """The run's id, ``<experiment>_<unix time>_<8 hex>``."""
        if self._id is None:
            self._id = str(self._spec()["run_id"])
        return self._id

    def _spec(self) -> Dict[str, Any]:
        from ..rundir import RunDir, read_json

        found: Dict[str, Any] = read_json(RunDir(self._run_dir).spec)
        return found

    @property
    def _inside(self) -> bool:
        """Whether this process belongs to the run."""
        return os.environ.get(RUN_DIR) == self._run_dir

    @property
    def input_datasets(self) -> InputDatasets:
        """The local path of each input.  Source: ``azureml.core.run.InputDatasets``."""
        from ..rundir import RunDir, read_json_if_there

        found = read_json_if_there(RunDir(self._run_dir).input_paths) or {"inputs": {}}
        return InputDatasets((name, one["path"]) for name, one in found["inputs"].items())

    @property
    def output_datasets(self) -> OutputDatasets:
        """Empty: what a run writes to ``./outputs`` is kept."""
        return OutputDatasets()

    # ---- metrics -----------------------------------------------------------------------------------------

    def _writer(self) -> Optional[segment.MetricWriter]:
        return _writers.get(self._run_dir) or _open(self._run_dir)

    def log(self, name: str, value: Any, description: str = "", step: Optional[int] = None) -> None:
        """Log one value of a metric; see ``jupyter_mlrun.log``.  Source: ``azureml.core.Run.log``."""
        writer = _writers.get(self._run_dir) or _open(self._run_dir)
        if writer is not None:
            writer.log(name, value, step)

    def log_list(self, name: str, value: Any, description: str = "") -> None:
        """Log the elements of a list, generator, array or tensor.  Source: ``azureml.core.Run.log_list``."""
        self._log_form("log_list", name, value)

    def log_row(self, name: str, description: Optional[str] = None, **kwargs: Any) -> None:
        """Log one row of named scalars.  Source: ``azureml.core.Run.log_row``."""
        self._log_form("log_row", name, kwargs)

    def log_table(self, name: str, value: Any, description: str = "") -> None:
        """Log a dict of scalars, or of lists of one length.  Source: ``azureml.core.Run.log_table``."""
        self._log_form("log_table", name, value)

    def log_image(self, name: str, path: Any = None, plot: Any = None, description: str = "") -> None:
        """Keep an image, from a file (*path*) or from matplotlib (*plot*).  Source: ``azureml.core.Run.log_image``."""
        self._log_form("log_image", self._run_dir, name, path, plot)

    def log_confusion_matrix(self, name: str, value: Any, description: Optional[str] = "") -> None:
        """Keep a document ``{schema_type, schema_version, data}``, a dict or JSON text, for a chart."""
        self._log_form("log_document", self._run_dir, "confusion_matrix", name, value)

    def log_accuracy_table(self, name: str, value: Any, description: Optional[str] = "") -> None:
        """As ``log_confusion_matrix``, of an accuracy table."""
        self._log_form("log_document", self._run_dir, "accuracy_table", name, value)

    def log_residuals(self, name: str, value: Any, description: Optional[str] = "") -> None:
        """As ``log_confusion_matrix``, of residuals."""
        self._log_form("log_document", self._run_dir, "residuals", name, value)

    def log_predictions(self, name: str, value: Any, description: Optional[str] = "") -> None:
        """As ``log_confusion_matrix``, of predictions."""
        self._log_form("log_document", self._run_dir, "predictions", name, value)

    def _log_form(self, function: str, *arguments: Any) -> None:
        from . import logforms

        writer = self._writer()
        if writer is not None:
            getattr(logforms, function)(writer, *arguments)

    def flush(self, timeout_seconds: float = 300) -> None:
        """Bring what was logged to the disk.  Readers see it at once without that."""
        writer = _writers.get(self._run_dir)
        if writer is not None:
            writer.flush()

    # ---- what is said of it ------------------------------------------------------------------------------

    def _said(self) -> Dict[str, Any]:
        from ..rundir import RunDir
        from . import notes

        return notes.read(str(RunDir(self._run_dir).annotations))

    def _annotate(self, **change: Any) -> None:
        from ..errors import NotFound
        from ..rundir import RunDir
        from . import notes

        if not os.path.isdir(self._run_dir):
            raise NotFound(f"the run's folder is gone: {self._run_dir}", hint="it was deleted")
        notes.annotate(str(RunDir(self._run_dir).annotations), **change)

    def tag(self, key: str, value: Optional[str] = None) -> None:
        """Put one tag on the run, or change it.  Source: ``azureml.core.Run.tag``."""
        self.set_tags({key: value})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Put tags on the run; others stay.  Source: ``azureml.core.Run.set_tags``."""
        from . import notes

        self._annotate(tags=notes.texts(tags, "tags"))

    def remove_tags(self, tags: Union[str, Sequence[str]]) -> None:
        """Take tags away; those that are not there are no error.  Source: ``azureml.core.Run.remove_tags``."""
        names = [tags] if isinstance(tags, str) else [str(name) for name in tags]
        self._annotate(remove_tags=names)

    def get_tags(self) -> Dict[str, str]:
        """The tags as they are now."""
        from . import notes

        return notes.over(self._spec().get("tags") or {}, self._said())

    @property
    def tags(self) -> Dict[str, str]:
        """The tags as they are now."""
        return self.get_tags()

    def add_properties(self, properties: Mapping[str, Any]) -> None:
        """Say what will never change.  Source: ``azureml.core.Run.add_properties``.

        Raises ``Conflict`` for a property that has another value already.
        """
        from . import notes

        self._annotate(first=self._spec().get("properties") or {}, properties=notes.texts(properties, "properties"))

    def get_properties(self) -> Dict[str, str]:
        """The properties: what was said of the run once and for all."""
        return {**self._said()["properties"], **(self._spec().get("properties") or {})}

    @property
    def properties(self) -> Dict[str, str]:
        """The properties: what was said of the run once and for all."""
        return self.get_properties()

    # ---- files -------------------------------------------------------------------------------------------

    def upload_file(self, name: str, path_or_stream: Any, datastore_name: Optional[str] = None) -> str:
        """Keep a copy of a file or stream under *name*, in place of what had that name; returns the name.

        Raises ``NotFound`` for a file that is not there.  Source: ``azureml.core.Run.upload_file``.
        """
        return str(self._files("upload", name, path_or_stream))

    def upload_folder(self, name: str, path: Any, datastore_name: Optional[str] = None) -> List[str]:
        """Keep a copy of every file of a folder, as ``name/…``; returns the names.

        Source: ``azureml.core.Run.upload_folder``.
        """
        found: List[str] = self._files("upload_folder", name, path)
        return found

    def upload_files(
        self,
        names: Sequence[str],
        paths: Sequence[Any],
        return_artifacts: bool = False,
        timeout_seconds: Optional[float] = None,
        datastore_name: Optional[str] = None,
    ) -> List[str]:
        """Keep a copy of each of *paths* under the name beside it; returns the names.

        Source: ``azureml.core.Run.upload_files``.
        """
        found: List[str] = self._files("upload_all", names, paths)
        return found

    def get_file_names(self) -> List[str]:
        """The run's files: of ``outputs/``, ``logs/``, ``user_logs/``, ``azureml-logs/``, and uploaded ones."""
        found: List[str] = self._files("names")
        return found

    def download_file(self, name: str, output_file_path: Any = None, _validate_checksum: bool = False) -> str:
        """Copy one of the run's files here (or to *output_file_path*, a file or folder); returns where it is.

        Raises ``NotFound`` that lists the files there are.  Source: ``azureml.core.Run.download_file``.
        """
        return str(self._files("download", name, output_file_path))

    def _files(self, function: str, *arguments: Any) -> Any:
        from ..rundir import RunDir
        from . import runfiles

        self._collect()
        return getattr(runfiles, function)(RunDir(self._run_dir), *arguments)

    def _collect(self) -> None:
        """Runs of this process bring what came into their ``./outputs``; others have it there already."""

    # ---- its end -----------------------------------------------------------------------------------------

    def complete(self, _set_status: bool = True) -> None:
        """Say that the run has done its work.  A submitted run goes on until its script ends.

        Source: ``azureml.core.Run.complete``.
        """
        from . import ending

        self._before_end()
        ending.complete(self._run_dir, inside=self._inside)
        self._after_end()

    def fail(self, error_details: Any = None, error_code: Any = None, _set_status: bool = True) -> None:
        """Say that the run has failed, and why.  A submitted run goes on until its script ends.

        Source: ``azureml.core.Run.fail``.
        """
        from . import ending

        self._before_end()
        ending.fail(self._run_dir, error_details, error_code, inside=self._inside)
        self._after_end()

    def cancel(self) -> None:
        """Stop the run that this process belongs to.  Source: ``azureml.core.Run.cancel``."""
        from . import ending

        ending.stop(self._run_dir)

    def _before_end(self) -> None:
        self._collect()
        self.flush()

    def _after_end(self) -> None:
        """Where a run of this process lets go of it."""

    def __enter__(self: Here) -> Here:  # noqa: PYI019 -- Python 3.9
        return self

    def __exit__(self, exit_type: object, value: object, traceback: object) -> None:
        if value is None or (isinstance(value, SystemExit) and value.code in (None, 0)):
            self.complete()
            return
        if isinstance(value, BaseException):
            self._tell(value)
        self.fail(f"{type(value).__name__}: {value}")

    def _tell(self, problem: BaseException) -> None:
        """Where a run of this process puts the traceback into its log."""
