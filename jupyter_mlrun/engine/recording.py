"""The run that a notebook's execution belongs to: the one of this process, else a new interactive run.

Reads ``JUPYTER_MLRUN_RUN_DIR``; writes, for a new run, its directory, log and end.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jupyter_mlrun.engine.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_mlrun.engine.saving import Saving

RUN_DIR = "JUPYTER_MLRUN_RUN_DIR"
RUN_ID = "JUPYTER_MLRUN_RUN_ID"


@contextmanager
def recorded(journal: Journal | None, name: str, saving: Saving) -> Iterator[Journal]:
    """The journal of this execution; *journal* where the run's own program has made one."""
    run_dir = os.environ.get(RUN_DIR)
    if journal is not None:
        yield journal
    elif run_dir:
        yield Journal(run_dir)
    else:
        with _new_run(name, saving) as made:
            yield made


@contextmanager
def _new_run(name: str, saving: Saving) -> Iterator[Journal]:
    """A run of the experiment that is called as the notebook, for as long as the notebook takes."""
    from jupyter_mlrun.records import experiment_name
    from jupyter_mlrun.sdk.experiment import Experiment
    from jupyter_mlrun.sdk.workspace import Workspace
    from jupyter_mlrun.worker import launch

    stem = os.path.splitext(name)[0]
    experiment = Experiment(Workspace(), experiment_name(stem if stem.strip("-_. ") else "notebook"))
    run = experiment.start_logging(snapshot_directory=None)
    os.environ[RUN_DIR], os.environ[RUN_ID] = str(run.path), run.id
    log = launch.open_log(run.directory, 0, 1)
    journal = Journal(str(run.path), log, inside=False)
    try:
        yield journal
    except BaseException as problem:
        journal.fail(f"{type(problem).__name__}: {problem}")
        raise
    finally:
        os.close(log)
        saving.copy_to(run.directory.outputs)
        if journal.failure is None:
            run.complete()
        else:
            run.fail(journal.failure)
