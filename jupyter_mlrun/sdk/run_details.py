"""What is known of a run, as the reference's ``get_details`` gives it, and as a table for people.

Reads the run directory.
"""

from __future__ import annotations

import html
import os
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from jupyter_mlrun.states import Status
from jupyter_mlrun.store.series import MetricReader
from jupyter_mlrun.worker import ending

if TYPE_CHECKING:
    from jupyter_mlrun.records import RunState, Spec
    from jupyter_mlrun.sdk.run_handle import RunHandle

LOG_TOPS = ("user_logs/", "azureml-logs/", "logs/")
SCRIPT_RUN = "azureml.scriptrun"
DOCS = "https://learn.microsoft.com/python/api/azureml-core/azureml.core.run.run"


class Details(dict[str, Any]):
    """A dict whose keys are attributes too: documents of the reference use both."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def of(run: RunHandle) -> Details:
    """Everything known, with the reference's keys."""
    spec, state = run.spec, run.state
    details = Details(
        runId=spec.run_id,
        target=spec.target,
        status=str(state.shown),
        startTimeUtc=utc(state.started),
        properties=_properties(spec),
        inputDatasets=[_input(one) for one in spec.inputs],
        outputDatasets=[],
        runDefinition=_definition(spec),
        logFiles={name: (run.path / name).as_uri() for name in run.get_file_names() if name.startswith(LOG_TOPS)},
        submittedBy=spec.created_by.get("user"),
        tags=dict(spec.tags),
        warnings=_warnings(run),
    )
    if spec.parent:
        details["parentRunId"] = spec.parent
    if state.ended is not None:
        details["endTimeUtc"] = utc(state.ended)
    if state.reason is not None and state.status is not Status.COMPLETED:
        details["error"] = _error(state)
    return details


def type_of(spec: Spec) -> str | None:
    """The reference's word for a kind of run; None for an interactive one."""
    return None if spec.kind == ending.INTERACTIVE else SCRIPT_RUN


def _properties(spec: Spec) -> dict[str, str]:
    snapshot = {"ContentSnapshotId": spec.snapshot["id"]} if spec.snapshot else {}
    return {**snapshot, **spec.properties}


def _input(one: dict[str, Any]) -> dict[str, Any]:
    known = ("id", "dataset", "version", "manifest", "path", "signature")
    return {
        "dataset": {key: one[key] for key in known if one.get(key) is not None},
        "consumptionDetails": {
            "type": "RunInput",
            "inputName": one.get("name"),
            "mechanism": str(one.get("mode", "")).capitalize(),
            "pathOnCompute": one.get("path_on_compute"),
        },
    }


def _definition(spec: Spec) -> dict[str, Any]:
    return {
        "script": spec.script,
        "command": spec.command,
        "arguments": spec.arguments,
        "target": spec.target,
        "environment": spec.environment,
        "parameters": {name: p["value"] for name, p in spec.parameters.items()},
        "nodeCount": spec.resources.nodes,
        "maxRunDurationSeconds": spec.resources.time,
    }


def _warnings(run: RunHandle) -> list[dict[str, str]]:
    """What was lost or misused while logging."""
    reader = MetricReader(run.directory.metrics)
    reader.refresh()
    said = [
        (reader.dropped, "points were dropped: the disk was full"),
        (reader.misused, "calls of log() were misused; standard error says how"),
        (reader.skipped, "damaged records were passed over"),
    ]
    return [{"source": "metrics", "message": f"{count:,} {text}"} for count, text in said if count]


def _error(state: RunState) -> dict[str, Any]:
    assert state.reason is not None
    return {
        "code": state.reason.code,
        "message": state.reason.text,
        "exitCode": state.exit_code,
        "lastLines": list(state.last_lines),
        # where the reference has the two
        "error": {"code": state.reason.code, "message": state.reason.text},
    }


def utc(seconds: float | None) -> str | None:
    """A moment as the reference writes it: ``2024-01-31T12:00:00.000000Z``."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def logs(run: RunHandle) -> dict[str, str]:
    """The text of each log; what is no text is shown as well as it goes."""
    found = {}
    for name in run.get_file_names():
        path = run.path / name
        if name.startswith(LOG_TOPS) and os.path.isfile(path):
            found[name] = path.read_bytes().replace(b"\0", b"").decode("utf-8", "replace")
    return found


def html_of(run: RunHandle) -> str:
    """The reference's table of one run."""
    if not run.path.is_dir():
        return table({"Run": f"{run.path.name}: removed"})
    spec = run.spec
    url = run.get_portal_url()
    return table({
        "Experiment": spec.experiment,
        "Id": spec.run_id,
        "Type": str(type_of(spec)),
        "Status": run.status,
        "Details Page": ("Link to the run's page", url),
        "Docs Page": ("Link to Documentation", DOCS),
    })  # fmt: skip


def table(columns: dict[str, str | tuple[str, str]]) -> str:
    """One row of HTML: text, or (text, address) for a link.  Everything is escaped."""
    cells = []
    for value in columns.values():
        text, address = value if isinstance(value, tuple) else (value, "")
        shown = _e(text)
        if address:
            shown = f'<a href="{_e(address)}" target="_blank" rel="noopener">{shown}</a>'
        cells.append(f"<td>{shown}</td>")
    head = "".join(f"<th>{_e(name)}</th>" for name in columns)
    return f'<table style="width:100%"><tr>{head}</tr><tr>{"".join(cells)}</tr></table>'


def _e(text: str) -> str:
    return html.escape(str(text).encode("utf-8", "replace").decode(), quote=True)
