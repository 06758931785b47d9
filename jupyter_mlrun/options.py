"""The options of ``%%submit``, ``%submit`` and ``jupyter mlrun submit``: one list for all of them.

Reads and writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Option:
    """One option.  ``name`` is its place in ``sdk.submit.Request`` (or in the magic, where ``only`` says so)."""

    name: str
    flags: tuple[str, ...]
    help: str
    metavar: str | None = None  # None: a switch
    repeat: bool = False
    kind: type = str
    only: str = ""  # "magic" or "cli": offered there alone


OPTIONS = (
    Option("experiment", ("-e", "--experiment"), "experiment; default: the notebook's name, else 'notebook'", "NAME"),
    Option("target", ("-t", "--target"), "compute of the workspace; default: local", "COMPUTE"),
    Option(
        "env", ("--env",), "registered environment, requirements.txt or conda .yml; default: this interpreter", "ENV"
    ),
    Option("source", ("-s", "--source"), "folder to snapshot and run in; default: the cell or script alone", "DIR"),
    Option("inputs", ("-i", "--input"), "a dataset name[:version], store/path or DIR", "NAME=DATA", repeat=True),
    Option("parameters", ("-p", "--parameter"), "a parameter", "KEY=VALUE", repeat=True),
    Option("use", ("--use",), "notebook names to bring into the run", "NAME,…", repeat=True, only="magic"),
    Option("nodes", ("-n", "--nodes"), "nodes; the local compute has 1", "N", kind=int),
    Option("procs", ("--procs",), "processes per node", "N", kind=int),
    Option("gpus", ("--gpus",), "GPUs: a number, auto (1 where there are GPUs) or all; 0 hides them", "N|auto|all"),
    Option("cpus", ("--cpus",), "CPU cores to reserve", "N", kind=int),
    Option("memory", ("--memory",), "memory to reserve, like 8GB", "SIZE"),
    Option("time", ("--time",), "time limit, like 30m or 1:30:00", "LIMIT"),
    Option("priority", ("--priority",), "higher starts earlier", "N", kind=int),
    Option("env_vars", ("--env-var",), "a variable for the run", "K=V", repeat=True),
    Option("include", ("--include",), "bring back what the snapshot leaves out", "GLOB", repeat=True),
    Option("max_snapshot", ("--max-snapshot",), "largest snapshot, like 2GB; default: 300MB", "SIZE"),
    Option("name", ("--name",), "a name for the run", "NAME"),
    Option("tags", ("--tag",), "a tag", "K=V", repeat=True),
    Option("output", ("-o", "--output"), "variable for the Run (always also _run)", "VAR", only="magic"),
    Option("block", ("-b", "--block"), "wait here; Ctrl-C detaches"),
    Option("quiet", ("-q", "--quiet"), "say only the run's id"),
    Option("dry_run", ("--dry-run",), "show what would be submitted; run nothing"),
)
