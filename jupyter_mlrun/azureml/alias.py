"""``import jupyter_mlrun.azureml.alias`` makes plain ``azureml`` mean ``jupyter_mlrun.azureml`` in this process.

Raises ``Conflict`` where a real ``azureml.core`` was imported before: objects of both would not fit together.
Reads and writes nothing.
"""

from __future__ import annotations

from jupyter_mlrun.azureml._finder import take_name

take_name()
