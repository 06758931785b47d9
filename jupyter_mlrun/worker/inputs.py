"""The inputs of a run: brought before its code starts, looked over when it has ended.

Reads the spec's inputs; writes ``inputs.json``, ``inputs/`` (copies that the run may change) and links.  Standard
library only (Python 3.9+).
"""

from __future__ import annotations

import os
import shutil
from functools import partial
from typing import Any, Callable, Dict, List

from ..errors import BadInput, NotFound
from ..rundir import RunDir, dump_json, make_folder, read_json_if_there, write_atomic
from . import mounts, unpack

Say = Callable[[str], None]
Progress = Callable[[str, int, int], None]


class Inputs:
    """The inputs of one run, by name."""

    def __init__(self, spec: Dict[str, Any], run: RunDir) -> None:
        self.asked: List[Dict[str, Any]] = list(spec.get("inputs") or ())
        self.run = run
        self.paths: Dict[str, str] = {}
        self._mounts: Dict[str, mounts.Mount] = {}
        self._links: List[str] = []

    def bring(self, say: Say, progress: Progress = lambda *_: None) -> None:
        """Make every input ready; *say* gets the lines of the driver's log.

        *progress* is told the input's name, the number of its files that are there, and of all, again and again.
        """
        for one in self.asked:
            say(f"Processing '{one['name']}'.")
            if one.get("about"):
                say(f"Processing dataset FileDataset\n{one['about']}")
            self.paths[one["name"]] = self._bring(one, say, progress)
        if self.asked:
            places = {name: mount.path for name, mount in self._mounts.items()}
            record = {
                one["name"]: {"path": self.paths[one["name"]], "mode": one["mode"], "tree": places.get(one["name"])}
                for one in self.asked
            }
            write_atomic(self.run.input_paths, dump_json({"inputs": record, "links": self._links}), sync=False)
            say("Exit __enter__ of DatasetContextManager")

    def _bring(self, one: Dict[str, Any], say: Say, progress: Progress) -> str:
        name, mode = one["name"], one["mode"]
        if mode == "local":
            if not os.path.exists(one["path"]):
                raise NotFound(f"the input {name!r} is gone: {one['path']}", hint="upload it: %upload_data")
            say(f"Using {name} in place at {one['path']} (not versioned).")
            return str(one["path"])
        if mode == "download":
            folder = self._place(one)
            say(f"Downloading {name} to {folder}.")
            make_folder(os.path.dirname(folder))
            unpack.materialise(one["objects"], one["manifest"], folder, partial(progress, name))
            say(f"Downloaded {name} to {folder} as {'file' if one.get('file') else 'folder'}.")
            return os.path.join(folder, one["file"]) if one.get("file") else folder
        return self._mount(one, say, progress)

    def _mount(self, one: Dict[str, Any], say: Say, progress: Progress) -> str:
        name = one["name"]
        mount = mounts.acquire(one["objects"], one["trees"], one["manifest"], partial(progress, name))
        self._mounts[name] = mount
        path = mount.path
        if one.get("path_on_compute"):
            path = self._place(one)
            make_folder(os.path.dirname(path))
            try:
                os.symlink(mount.path, path)
            except FileExistsError as problem:
                raise BadInput(
                    f"the input {name!r} cannot be at {path}: something is there", hint="choose another path_on_compute"
                ) from problem
            self._links.append(path)
        if one.get("file"):
            path = os.path.join(path, one["file"])
        say(f"Mounting {name} to {path}.")
        say(f"Mounted {name} to {path} as {'file' if one.get('file') else 'folder'}.")
        return path

    def _place(self, one: Dict[str, Any]) -> str:
        wanted = one.get("path_on_compute")
        if not wanted:
            return str(self.run.inputs / one["name"])
        return os.path.normpath(os.path.join(str(self.run.work), wanted))

    def adopt(self) -> None:
        """Take over from a worker that was killed: hold again what the run under way uses."""
        record = read_json_if_there(self.run.input_paths) or {"inputs": {}, "links": []}
        self._links = record["links"]
        for name, one in record["inputs"].items():
            self.paths[name] = one["path"]
            if one["tree"]:
                self._mounts[name] = mounts.again(one["tree"])

    def variables(self) -> Dict[str, str]:
        """What the run's environment says of them."""
        if not self.paths:
            return {}
        modes = {one["name"]: one["mode"] for one in self.asked}
        found = {"AZUREML_DATASET_ENVIRONMENT_VARS": ",".join(f"{name}:{mode}" for name, mode in modes.items())}
        for name, path in self.paths.items():
            found[name] = path
            found[f"AZUREML_DATAREFERENCE_{name}"] = path
        return found

    def finish(self) -> Dict[str, List[str]]:
        """Let go of everything; what the run changed of its inputs, by name (the next run gets them anew)."""
        harmed = {}
        for name, mount in self._mounts.items():
            found = mount.harmed()
            if found:
                harmed[name] = found
            mount.release()
        for link in self._links:
            if os.path.islink(link):
                os.unlink(link)
        shutil.rmtree(self.run.inputs, ignore_errors=True)
        return harmed
