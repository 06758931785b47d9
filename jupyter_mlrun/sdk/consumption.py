"""``DatasetConsumptionConfig``: a data set as an input of a run.

Reads and writes nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn

from jupyter_mlrun.errors import BadInput, an

if TYPE_CHECKING:
    from jupyter_mlrun.sdk.dataset import FileDataset

INPUT_NAME = re.compile(r"[a-zA-Z_]\w*\Z", re.ASCII)
MODES = ("mount", "download", "direct")


def check_input_name(name: object) -> str:
    """*name*, if an input may have it: it becomes a variable of the run."""
    if not isinstance(name, str) or not INPUT_NAME.match(name):
        raise BadInput(f"{name!r} is no name for an input", hint="letters, digits and '_', no digit first")
    return name


class DatasetConsumptionConfig:
    """A data set as an input of a run.  Source: ``azureml.data.dataset_consumption_config``.

    Args:
        name: of the input: ``run.input_datasets[name]``, and a variable of the run.
        dataset: what the run gets.
        mode: ``mount`` (read-only, shared), ``download`` (a writable copy) or ``direct`` (as mount).
        path_on_compute: where the run finds it; relative to its working folder.
    """

    def __init__(
        self, name: str, dataset: FileDataset, mode: str = "direct", path_on_compute: str | None = None
    ) -> None:
        if mode not in MODES:
            raise BadInput(f"{mode!r} is no mode of an input", hint="one of: " + ", ".join(MODES))
        if not hasattr(dataset, "resolve"):
            raise BadInput(
                f"the input {name!r} is {an(type(dataset).__name__)}",
                hint="give a dataset: Dataset.get_by_name(ws, 'x')",
            )
        self.name = name
        self.dataset, self.mode, self.path_on_compute = dataset, mode, path_on_compute

    @property
    def name(self) -> str:
        """The input's name."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        self._name = check_input_name(name)

    def as_mount(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """The same, mounted: read-only, shared with other runs."""
        return DatasetConsumptionConfig(self.name, self.dataset, "mount", path_on_compute)

    def as_download(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """The same, as a copy that the run may change."""
        return DatasetConsumptionConfig(self.name, self.dataset, "download", path_on_compute)

    def as_hdfs(self) -> NoReturn:
        """Not here."""
        raise NotImplementedError("DatasetConsumptionConfig.as_hdfs is not here: use as_mount() or as_download()")

    def __repr__(self) -> str:
        return f"DatasetConsumptionConfig({self.name!r}, {self.dataset!r}, {self.mode!r})"
