"""The small things of azureml that have no other home here: its constants, sign-in classes and a switch.

Reads and writes nothing.  Standard library only (Python 3.9+).
"""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WORKSPACE_DEFAULT_BLOB_STORE_NAME = "workspaceblobstore"
MODELS_DIR = os.path.join(os.environ.get("AML_APP_ROOT", ""), "azureml-models")
DEFAULT_CPU_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04"
DEFAULT_GPU_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-cuda11.8-cudnn8-ubuntu22.04"
LOCAL_RUNCONFIG_NAME = "local"
SUPPORTED_DATAREF_MODES = ["mount", "download", "upload"]
SUPPORTED_DELIVERY_MECHANISM = ["direct", "mount", "download", "upload"]
SUPPORTED_PYTORCH_BACKENDS = ["nccl", "gloo"]
TERMINAL_STATES = ["Canceled", "Completed", "Failed"]
HYPERDRIVE_URL_SUFFIX = "/hyperdrive/v1.0"
MAX_DURATION_MINUTES = 10080
MAX_PARENT_RUNS = 5
RECOMMENDED_MAX_CONCURRENT_RUNS_BAYESIAN = 20
RECOMMENDED_MIN_RUNS_PER_PARAMETER_BAYESIAN = 20
RESUME_FROM_TOTAL_RUNS = 1000
FOLDER, EMPTY_FILE, FILE = 0, 1, 2
FILENAME_LENGTH_ERROR_MESSAGE = "exceeds the maximum allowed length"

CPU, GPU = "cpu", "gpu"
CHANNELS, PACKAGES, PIP, PYTHON_PREFIX = "channels", "dependencies", "pip", "python"
BASE_PROJECT_MODULE = "azureml._project"
BASE_PROJECT_FILE_RELATIVE_PATH = "base_project_files/conda_dependencies.yml"
DEFAULT_SDK_ORIGIN = "https://pypi.python.org/simple"
INVALID_PATHON_MESSAGE = "Invalid python version {0},only accept '3.8'"
VERSION_REGEX = re.compile(r"(\d+)\.(\d+)(\.(\d+))?([ab](\d+))?$")
CONDA_FILE_NAME = "auto_conda_dependencies.yml"
LINUX_PLATFORM, WINDOWS_PLATFORM = "linux", "win32"
CNTK_DEFAULT_VERSION = "2.7"
PYTHON_DEFAULT_VERSION = "3.10.18"
TENSORFLOW_DEFAULT_VERSION = "2.2.0"
PYTORCH_DEFAULT_VERSION = "1.6.0"
TORCHVISION_DEFAULT_VERSION = "0.7.0"
HOROVOD_DEFAULT_VERSION = "0.19.5"
DEFAULT_CHAINER_VERSION = "7.7.0"
CUPY_DEFAULT_VERSION = "cupy-cuda102"
CNTK_PACKAGE_PREFIX, TENSORFLOW_PACKAGE_PREFIX, PYTORCH_PACKAGE_PREFIX = "cntk", "tensorflow", "torch"
TORCHVISION_PACKAGE_PREFIX, CHAINER_PACKAGE_PREFIX = "torchvision", "chainer"


class AbstractAuthentication:
    """A sign-in: nothing here needs one, so every class of sign-in takes anything and does nothing."""

    def __init__(self, *_args: Any, **_kw: Any) -> None: ...

    def get_authentication_header(self) -> Any:
        """Not here: there is no service to send it to."""
        raise NotImplementedError("get_authentication_header is not here: nothing here needs a sign-in, leave it out")

    get_token = get_authentication_header


class InteractiveLoginAuthentication(AbstractAuthentication):
    """Source: ``azureml.core.authentication.InteractiveLoginAuthentication``."""


class ServicePrincipalAuthentication(AbstractAuthentication):
    """Source: ``azureml.core.authentication.ServicePrincipalAuthentication``."""


class AzureCliAuthentication(AbstractAuthentication):
    """Source: ``azureml.core.authentication.AzureCliAuthentication``."""


class MsiAuthentication(AbstractAuthentication):
    """Source: ``azureml.core.authentication.MsiAuthentication``."""


class TokenAuthentication(AbstractAuthentication):
    """Source: ``azureml.core.authentication.TokenAuthentication``."""


class ArcTokenAuthentication(AbstractAuthentication):
    """Source: ``azureml.core.authentication.ArcTokenAuthentication``."""


class ResourceConfiguration:
    """What a served model asks for; kept as given.  Source: ``azureml.core.resource_configuration``."""

    def __init__(self, cpu: float | None = None, memory_in_gb: float | None = None, gpu: int | None = None) -> None:
        self.cpu, self.memory_in_gb, self.gpu = cpu, memory_in_gb, gpu


def set_diagnostics_collection(send_diagnostics: bool = True, verbosity: Any = None) -> None:
    """Nothing: there is no telemetry to switch.  Source: ``azureml.telemetry``."""
