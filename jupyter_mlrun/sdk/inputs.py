"""Which data a run gets: ``-i NAME=DATA`` and the SDK's inputs become what the spec keeps of them.

Reads registries, datastores and local folders; writes manifests of parts of data sets.
"""

from __future__ import annotations

import fnmatch
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.errors import BadInput, NotFound, an
from jupyter_mlrun.sdk.consumption import INPUT_NAME
from jupyter_mlrun.sdk.data import DataReference, Dataset, DatasetConsumptionConfig, FileDataset, datasets, datastores
from jupyter_mlrun.sdk.environment import RESERVED
from jupyter_mlrun.store import snapshot, trees
from jupyter_mlrun.ui.words import count as counted
from jupyter_mlrun.ui.words import size
from jupyter_mlrun.words import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jupyter_mlrun.sdk.workspace import Workspace

# stands in an argument where the path of an input goes; no argument of a process can hold it
MARK = "\0"
_MARKED = re.compile(f"{MARK}([^{MARK}]+){MARK}")
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_DATA_REFERENCE = "AZUREML_DATAREFERENCE_"


def marked(name: str) -> str:
    """What stands for an input's path in an argument until the run begins."""
    return f"{MARK}{name}{MARK}"


def names_of(inputs: Iterable[str]) -> list[str]:
    """The names in ``NAME=DATA`` pairs; ``BadInput`` for a pair without one, and for a name that is given twice."""
    found: list[str] = []
    for text in inputs:
        name, equals, data = text.partition("=")
        if not equals or not data or not INPUT_NAME.match(name):
            raise BadInput(f"-i {text!r} names no input", hint="write it like -i data=cifar10 or -i data=./folder")
        if name in found:
            raise BadInput(f"-i {name} is given twice", hint="choose another name for one of them")
        found.append(name)
    return found


def of_request(
    workspace: Workspace,
    inputs: Sequence[str],
    bound: Mapping[str, Any] | None,
    environ: Mapping[str, str],
    base: Path,
) -> list[dict[str, Any]]:
    """Every input as the spec has it.

    Raises ``BadInput`` for a name that the run or its environment uses already, ``NotFound`` for missing data.
    """
    names_of(inputs)
    pairs = [text.partition("=")[::2] for text in inputs]
    found = [_named(workspace, name, data, base) for name, data in pairs]
    found += [_bound(workspace, name, what) for name, what in (bound or {}).items()]
    for one in found:
        _check_variable(one["name"], environ)
    return found


def _check_variable(name: str, environ: Mapping[str, str]) -> None:
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in RESERVED):
        raise BadInput(f"an input cannot be called {name!r}: the run sets this variable itself", hint="choose another")
    if name in environ:
        raise BadInput(
            f"an input cannot be called {name!r}: the environment has a variable of that name",
            hint="choose another name; the run finds the path in it",
        )


def _named(workspace: Workspace, name: str, data: str, base: Path) -> dict[str, Any]:
    """What ``NAME=DATA`` means: a data set, a path on a datastore, or a local folder."""
    path = base / Path(data).expanduser()
    if data.startswith((".", "/", "~")):
        return _local(name, data, path)
    stem, colon, version = data.partition(":")
    known = datasets(workspace)
    if stem in known:
        return _of_dataset(name, Dataset.get_by_name(workspace, stem, version if colon else "latest"), "mount", None)
    store, slash, below = data.partition("/")
    stores = datastores(workspace)
    if slash and store in stores:
        made = Dataset.File.from_files((stores[store], below))
        return _of_dataset(name, made, "mount", None)
    if path.exists():
        return _local(name, data, path)
    raise NotFound(
        f"-i {name}={data}: no dataset, datastore path or folder is called that",
        hint=did_you_mean(stem, [*known, *stores]) + "; upload with %upload_data, or name a folder like ./data",
    )


def _local(name: str, data: str, path: Path) -> dict[str, Any]:
    """A folder or file of this machine, used where it is; what it was is kept as a signature."""
    if not path.exists():
        raise NotFound(f"-i {name}={data}: {path} does not exist", hint="give a folder, or the name of a dataset")
    plan = snapshot.scan_data(path.absolute())
    return {
        "name": name, "mode": "local", "path": str(path.absolute()), "signature": plan.signature,
        "count": plan.count, "bytes": plan.bytes, "versioned": False,
    }  # fmt: skip


def _bound(workspace: Workspace, name: str, what: Any) -> dict[str, Any]:
    if isinstance(what, FileDataset):
        what = what.as_named_input(name)
    if isinstance(what, DatasetConsumptionConfig):
        return _of_dataset(name, what.dataset, what.mode, what.path_on_compute)
    if isinstance(what, DataReference):
        made = FileDataset(workspace, [(what.datastore.name, trees.clean(what.path_on_datastore or ""))])
        return _of_dataset(name, made, what.mode, what.path_on_compute)
    raise BadInput(
        f"the input {name!r} is {an(type(what).__name__)}", hint="give a dataset: dataset.as_named_input('x')"
    )


def _of_dataset(name: str, dataset: FileDataset, mode: str, path_on_compute: str | None) -> dict[str, Any]:
    tree, place = dataset.resolve(), dataset.workspace.folder
    if path_on_compute is not None and ("\0" in path_on_compute or not path_on_compute.strip("/. ")):
        raise BadInput(f"{path_on_compute!r} is no place for the input {name!r}", hint="give a path like data/images")
    return {
        "name": name,
        "mode": "mount" if mode == "direct" else mode,
        "manifest": tree.manifest,
        "objects": str(place.objects),
        "trees": str(place.trees),
        "file": tree.file,
        "path_on_compute": path_on_compute,
        "dataset": {"name": dataset.name, "version": dataset.version},
        "paths": [list(pair) for pair in dataset.paths],
        "count": tree.count,
        "bytes": tree.bytes,
        "versioned": True,
        "about": _about(dataset),
    }


def _about(dataset: FileDataset) -> str:
    """What the reference's driver says of a data set."""
    workspace = dataset.workspace
    names = (workspace.name, "local", "local")
    where = "Workspace.create(name={!r}, subscription_id={!r}, resource_group={!r})".format(*names)
    about = {
        "source": [str(pair) for pair in dataset.paths],
        "definition": ["GetDatastoreFiles"],
        "registration": {
            "id": dataset.id or dataset.resolve().manifest[:32],
            "name": dataset.name,
            "version": dataset.version,
            "workspace": where,
        },
    }
    return json.dumps(about, indent=2)


# ---- arguments -----------------------------------------------------------------------------------------


def place_names(words: Iterable[str], names: Iterable[str]) -> list[str]:
    """*words* with ``{name}`` of an input made its mark; other braces stay."""
    found = list(words)
    for name in names:
        found = [word.replace(f"{{{name}}}", marked(name)) for word in found]
    return found


def expansions(
    arguments: Sequence[str], names: Iterable[str], *, expand: bool
) -> tuple[list[str], dict[int, list[Any]]]:
    """The arguments as they are shown, and by place the parts of those that the compute completes.

    With *expand* also ``$NAME`` stands for an input, or for a variable of the compute.
    """
    known = set(names)
    shown: list[str] = []
    found: dict[int, list[Any]] = {}
    for place, argument in enumerate(arguments):
        parts = _parts(argument, known, expand=expand)
        shown.append(_MARKED.sub(r"$\1", argument))
        if any(not isinstance(part, str) for part in parts):
            found[place] = parts
    return shown, found


def _parts(argument: str, known: set[str], *, expand: bool) -> list[Any]:
    parts: list[Any] = []
    for number, piece in enumerate(_MARKED.split(argument)):
        if number % 2:
            if piece not in known:
                raise BadInput(f"no input is called {piece!r}", hint=did_you_mean(piece, known))
            parts.append({"input": piece})
        elif expand:
            parts += _variables(piece, known)
        elif piece:
            parts.append(piece)
    return parts


def _variables(text: str, known: set[str]) -> list[Any]:
    parts: list[Any] = []
    end = 0
    for match in _VARIABLE.finditer(text):
        parts.append(text[end : match.start()])
        name = match[1] or match[2]
        bare = name.removeprefix(_DATA_REFERENCE)
        parts.append({"input": bare} if bare in known else {"variable": name})
        end = match.end()
    parts.append(text[end:])
    return [part for part in parts if part != ""]


def describe(one: Mapping[str, Any]) -> str:
    """An input in words, for people."""
    much = f"{counted(one['count'], 'file')}, {size(one['bytes'])}"
    if one["mode"] == "local":
        return f"{one['name']}: {one['path']} ({much}; in place, not versioned)"
    known = one["dataset"]
    what = f"{known['name']}:{known['version']}" if known["name"] else ", ".join("/".join(p) for p in one["paths"])
    return f"{one['name']}: {what} ({much}; {one['mode']})"
