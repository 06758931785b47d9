"""Who needs which tree of the content store: what ``gc`` keeps and ``fsck`` names.

Reads the specs of runs, the records of datasets and models, and what lies on datastores.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from jupyter_mlrun.errors import NotFound
from jupyter_mlrun.store import runs
from jupyter_mlrun.store.datastores import Contents
from jupyter_mlrun.store.registry import Versions
from jupyter_mlrun.worker import notes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_mlrun.records import Spec
    from jupyter_mlrun.rundir import RunDir
    from jupyter_mlrun.store.home import WorkspaceDir

# kinds of registered things that have content
KINDS = ("dataset", "model")


def of_run(run: RunDir, spec: Spec) -> Iterator[str]:
    """The manifests that a run was made of, or that it took: what a rerun or ``restore_snapshot`` needs."""
    taken = notes.read(str(run.annotations)).get("snapshot")
    if taken:
        yield str(taken["id"])
    if spec.snapshot:
        yield str(spec.snapshot["id"])
    for one in spec.inputs:
        if one.get("manifest"):
            yield str(one["manifest"])


def of_runs(place: WorkspaceDir) -> Iterator[tuple[str, str]]:
    """Manifests with the runs that need them.  Raises for a run that cannot be read: it may need anything."""
    for run in list(runs.run_dirs(place)):
        spec = runs.read_spec(run)
        for manifest in of_run(run, spec):
            yield manifest, spec.run_id


def of_version(place: WorkspaceDir, kind: str, name: str, version: int) -> tuple[str, str]:
    """The manifest of a registered version, with what it is called."""
    return str(Versions(place, kind).read(name, version)["manifest"]), f"{kind} {name}:{version}"


def versions(place: WorkspaceDir) -> Iterator[tuple[str, str, int]]:
    """Kind, name and number of every registered version that has content."""
    for kind in KINDS:
        for name, numbers in Versions(place, kind).all_versions().items():
            for version in numbers:
                yield kind, name, version


def datastores(place: WorkspaceDir) -> Iterator[str]:
    """The datastores on which something lies."""
    try:
        yield from sorted(path.name for path in (place.path / "datastores").iterdir() if path.is_dir())
    except FileNotFoundError:
        return


def of_datastore(place: WorkspaceDir, name: str) -> Iterator[tuple[str, str]]:
    """The manifests that lie on a datastore."""
    for manifest in Contents(place, name).manifests():
        yield manifest, f"datastore {name}"


def all_of(place: WorkspaceDir) -> Iterator[tuple[str, str]]:
    """Every manifest that something needs, with what needs it; raises where that cannot be known."""
    yield from of_runs(place)
    for kind, name, version in versions(place):
        with suppress(NotFound):  # removed since it was listed
            yield of_version(place, kind, name, version)
    for name in datastores(place):
        yield from of_datastore(place, name)
