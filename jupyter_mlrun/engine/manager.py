"""The state of a notebook while it is executed, as papermill keeps it, saved after every cell that ran.

Writes the output notebook through ``saving``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from papermill.engines import NotebookExecutionManager

if TYPE_CHECKING:
    from jupyter_mlrun.engine.journal import Journal
    from jupyter_mlrun.engine.saving import Saving


class Manager(NotebookExecutionManager):  # type: ignore[misc,unused-ignore]
    """papermill's manager; cells that were not reached stay ``pending``."""

    def __init__(self, nb: Any, journal: Journal, saving: Saving, **more: Any) -> None:
        super().__init__(nb, output_path=saving.path, **more)
        self.journal, self.saving = journal, saving
        self._hold = False

    def save(self, **more: Any) -> None:
        """Save the notebook as it is now; ``last`` where it is over."""
        if self._hold:
            return
        told = self.saving.save(self.nb, last=bool(more.get("last")))
        if told:
            self.journal.say_line(f"jupyter_mlrun: {told}")
        self.last_save_time = self.now()

    def cell_start(self, cell: Any, cell_index: int | None = None, **more: Any) -> None:
        """Nothing is saved yet: ``notebook.jsonl`` says that the cell began."""
        self._hold = True
        try:
            super().cell_start(cell, cell_index, **more)
        finally:
            self._hold = False

    def cell_complete(self, cell: Any, cell_index: int | None = None, **more: Any) -> None:
        """Save, if the cell was executed."""
        self._hold = cell.get("cell_type") != "code"
        try:
            super().cell_complete(cell, cell_index, **more)
        finally:
            self._hold = False

    def notebook_complete(self, **more: Any) -> None:  # noqa: ARG002 -- papermill's signature
        """The notebook is over, well or not."""
        self.end_time = self.now()
        told = self.nb.metadata.papermill
        told["end_time"] = self.end_time.isoformat()
        if self.start_time is not None:
            told["duration"] = (self.end_time - self.start_time).total_seconds()
        self.cleanup_pbar()
        self.save(last=True)
