"""What an interpreter reads before its first line of user code: variables, and files whose change means another start.

Reads the environment given to it and ``stat`` of files; writes nothing.  Standard library only (Python 3.9+).
"""

from __future__ import annotations

import fnmatch
import os
import re
from typing import Container, Dict, Iterable, List, Mapping, Optional, Sequence

# read by the dynamic linker, the C library, the interpreter, or code that site-packages runs at start
INTERPRETER = (
    "PYTHON*", "LD_*", "GLIBC_TUNABLES", "MALLOC_*", "GCONV_PATH", "LOCPATH", "NLSPATH", "LANG", "LANGUAGE", "LC_*",
    "TZ", "TZDIR", "HOME", "PATH", "SETUPTOOLS_USE_DISTUTILS", "COVERAGE_*", "COV_CORE_*",
    "ASAN_*", "LSAN_*", "TSAN_*", "UBSAN_*",
)  # fmt: skip
# read by libraries when they are imported
LIBRARIES = (
    "OMP_*", "GOMP_*", "KMP_*", "MKL_*", "OPENBLAS_*", "GOTO_*", "BLIS_*", "VECLIB_*", "NUMEXPR_*", "NPY_*", "NUMPY_*",
    "TORCH*", "PYTORCH_*", "ATEN_*", "DNNL_*", "ONEDNN_*", "INTEL_*", "CUDA_*", "CUDNN_*", "NVIDIA_*", "NCCL_*",
    "TRITON_*", "SCIPY_*", "SKLEARN_*", "JOBLIB_*", "LOKY_*", "PANDAS_*", "MPL*", "MATPLOTLIBRC", "XDG_*", "ARROW_*",
    "SSL_*", "USE_*",
)  # fmt: skip
# read when a GPU is first used, and no preloaded library has used one
AFTERWARDS = ("CUDA_VISIBLE_DEVICES",)
# these watch or change the start itself: a start that happened before the run is none that they could see
WATCHERS = (
    "PYTHONINSPECT", "PYTHONPROFILEIMPORTTIME", "PYTHONTRACEMALLOC", "PYTHONVERBOSE", "PYTHONDUMPREFS",
    "PYTHONDUMPREFSFILE", "PYTHONMALLOCSTATS", "PYTHONPERFSUPPORT", "PYTHON_PERF_JIT_SUPPORT", "COVERAGE_PROCESS_START",
    "COVERAGE_PROCESS_CONFIG", "COV_CORE_SOURCE", "LD_AUDIT", "LD_PROFILE", "LD_DEBUG",
)  # fmt: skip
# code in .pth files that is known to read nothing beyond INTERPRETER
KNOWN_PTH = ("distutils-precedence.pth", "_virtualenv.pth", "__editable__*.pth", "*-nspkg.pth", "*coverage*.pth")


def _any_of(patterns: Sequence[str]) -> "re.Pattern[str]":
    """One expression for all *patterns*: each start asks it of every variable, twice."""
    return re.compile("|".join(map(fnmatch.translate, patterns)))


_INTERPRETER_READS = _any_of(INTERPRETER).match
_LIBRARIES_READ = _any_of((*INTERPRETER, *LIBRARIES)).match


def variables(env: Mapping[str, str], preload: Sequence[str]) -> Dict[str, str]:
    """The variables of *env* that are read before user code, where the libraries *preload* are imported first."""
    is_read = _LIBRARIES_READ if preload else _INTERPRETER_READS
    return {name: value for name, value in env.items() if name not in AFTERWARDS and is_read(name)}


def obstacle(env: Mapping[str, str]) -> str:
    """Why a process with this environment has to be started from its first instruction; empty where it has not."""
    for name in WATCHERS:
        if env.get(name):
            return f"{name} is set"
    path = env.get("PYTHONPATH", "")
    if path and not all(os.path.isabs(folder) for folder in path.split(os.pathsep)):
        return "PYTHONPATH has a relative folder"
    return ""


def difference(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """The name of the first variable that differs; empty where none does."""
    names = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
    return names[0] if names else ""


def stamp(path: str) -> Optional[List[int]]:
    """What tells one content of a file or folder from the next; None where there is nothing."""
    try:
        info = os.stat(path)
    except OSError:
        return None
    return [info.st_mtime_ns, info.st_size, info.st_ino]


def stamps(paths: Iterable[str]) -> Dict[str, Optional[List[int]]]:
    """The stamp of each path."""
    return {path: stamp(path) for path in paths}


def changed(before: Mapping[str, Optional[List[int]]]) -> str:
    """The first path whose stamp is not what it was; empty where all are."""
    return next((path for path, was in before.items() if stamp(path) != was), "")


def hiding(folder: str, modules: Container[str]) -> List[str]:
    """What lies in *folder* under the name of one of *modules*, and so could be imported in its place."""
    try:
        return sorted(name for name in os.listdir(folder) if name.partition(".")[0] in modules)
    except OSError:
        return []


def site_code(folders: Iterable[str]) -> str:
    """A ``.pth`` file that runs code which may read anything; empty where there is none."""
    for folder in folders:
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        for name in names:
            if name.endswith(".pth") and not any(fnmatch.fnmatchcase(name, known) for known in KNOWN_PTH):
                with open(os.path.join(folder, name), "rb") as file:
                    if any(line.startswith((b"import ", b"import\t")) for line in file):
                        return os.path.join(folder, name)
    return ""
