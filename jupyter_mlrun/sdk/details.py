"""``RunDetails``: a run to look at in a notebook, as a live view; elsewhere its text.

Reads the run directory.  What is saved with a notebook is one fragment of HTML with its style in it: no script, no
outside resource, every word of the run escaped.
"""

from __future__ import annotations

import html
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jupyter_mlrun import live
from jupyter_mlrun.errors import BadInput, an
from jupyter_mlrun.sdk.run_details import utc
from jupyter_mlrun.sdk.run_handle import RunHandle
from jupyter_mlrun.store.series import MetricReader
from jupyter_mlrun.ui import view
from jupyter_mlrun.ui.words import duration, number

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_mlrun.records import RunState, Spec
    from jupyter_mlrun.sdk.run import Run
    from jupyter_mlrun.store.livemetrics import LiveReader

MOST_CHILDREN = 20
MOST_POINTS = 1000  # of each metric in get_widget_data()
MOST_METRICS = 200  # as above
SHOWN_CHARS = 300
_STYLE = """
.mlr-details { max-width: 1100px; }
.mlr-details table.mlr-facts { border-collapse: collapse; margin: 8px 14px; font-size: 13px; width: auto; }
.mlr-details .mlr-facts th, .mlr-details .mlr-facts td { text-align: left !important; padding: 2px 18px 2px 0;
  vertical-align: top; border: 0; background: none; overflow-wrap: anywhere; white-space: normal; }
.mlr-details .mlr-facts th { color: var(--jp-ui-font-color2, #656d76); font-weight: 400; white-space: nowrap; }
.mlr-details .mlr-facts td { color: var(--jp-ui-font-color1, #1f2328); font-variant-numeric: tabular-nums; }
.mlr-details a { color: var(--jp-content-link-color, var(--jp-brand-color1, #0969da)); margin-right: 14px; }
"""


class RunDetails:
    """Shows one run.  Source: ``azureml.widgets.RunDetails``."""

    def __init__(self, run_instance: Run) -> None:
        if not isinstance(run_instance, RunHandle):
            raise BadInput(f"RunDetails shows a Run, not {an(type(run_instance).__name__)}")
        self._run = run_instance

    def show(self, render_lib: Any = None, widget_settings: Any = None) -> None:  # noqa: ARG002 -- the reference's
        """Display the run here, as a live view that follows it until it is over.

        Outside of a notebook the run is printed as text, once.
        """
        if live.in_kernel():
            live.show(self._run, draw=_saved)
        else:
            print(view.as_text(self._run.directory, waiting=live.why(self._run)))

    def get_widget_data(self, widget_settings: Any = None) -> dict[str, Any]:  # noqa: ARG002 -- the reference's
        """What is shown, as values: status, properties, metrics, logs, children.

        At most 200 metrics with at most their last 1000 points each.
        Source: ``azureml.widgets.RunDetails.get_widget_data``.
        """
        spec, state = self._run.spec, self._run.state
        return {
            "status": str(state.shown),
            "workbench_run_details_uri": self._run.get_portal_url(),
            "run_id": spec.run_id,
            "run_properties": _properties(spec, state),
            "run_metrics": _metrics(self._run),
            "run_logs": view.look(self._run.directory).log,
            "log_files": dict(self._run.get_details()["logFiles"]),
            "child_runs": [_child(child) for child in _children(self._run)],
            "error": self._run.get_details().get("error"),
            "graph": {},
            "widget_settings": {},
        }

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return bundle(self._run)

    def __repr__(self) -> str:
        return f"RunDetails({self._run.id})"


# ---- how it looks ----------------------------------------------------------------------------------------------


def bundle(run: RunHandle) -> dict[str, Any]:
    """What a notebook displays: text and HTML."""
    return _saved(run, live.why(run), None)


def _saved(run: Any, waiting: str | None, metrics: LiveReader | None) -> dict[str, Any]:
    drawn = view.bundle(run.directory, waiting=waiting, metrics=metrics)
    return {**drawn, "text/html": _with_details(run, drawn["text/html"])}


def as_html(run: RunHandle, waiting: str | None = None) -> str:
    """The run with its times, what was asked, links and children."""
    return _with_details(run, view.as_html(run.directory, waiting=waiting))


def _with_details(run: RunHandle, drawn: str) -> str:
    spec, state = run.spec, run.state
    parts = [
        f'<style>{_STYLE}</style><div class="mlr-details">',
        drawn,
        _table({name: text for name, text in _facts(spec, state).items() if text}),
        _links(run),
        _family(run),
    ]
    return "".join(parts) + "</div>"


def _facts(spec: Spec, state: RunState) -> dict[str, str]:
    length = (state.ended or time.time()) - state.started if state.started else None
    command = " ".join([spec.script or " ".join(spec.command or ()), *spec.arguments]).strip()
    return {
        "Run": spec.run_id,
        "Experiment": spec.experiment,
        "Created": _moment(spec.created),
        "Started": _moment(state.started),
        "Ended": _moment(state.ended),
        "Duration": duration(length) if length is not None else "",
        "Exit code": str(state.exit_code) if state.exit_code else "",
        "Command": command,
        "Properties": ", ".join(f"{name} = {value}" for name, value in list(spec.properties.items())[:40]),
        "Snapshot": f"{spec.snapshot['id'][:12]} ({spec.snapshot['files']:,} files)" if spec.snapshot else "",
    }


def _moment(seconds: float | None) -> str:
    """The local time, as people write it."""
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def _table(facts: dict[str, str]) -> str:
    rows = (f"<tr><th>{_e(name)}</th><td>{_e(_short(text))}</td></tr>" for name, text in facts.items())
    return f'<table class="mlr-facts"><tbody>{"".join(rows)}</tbody></table>'


def _links(run: RunHandle) -> str:
    directory = run.directory
    places = {
        # written once: the agent keeps it fresh from then on
        "its own page": _uri(directory.page) or run.get_portal_url(),
        "log": _uri(directory.log(0, run.spec.resources.procs)),
        "outputs": _uri(directory.outputs),
        "folder": _uri(directory.path),
    }
    links = (
        f'<a href="{_e(url)}" target="_blank" rel="noopener">{_e(name)}</a>' for name, url in places.items() if url
    )
    return f'<table class="mlr-facts"><tbody><tr><th>Links</th><td>{" ".join(links)}</td></tr></tbody></table>'


def _uri(path: Path) -> str:
    return path.absolute().as_uri() if path.exists() else ""


def _family(run: RunHandle) -> str:
    found = _children(run)
    if not found:
        return ""
    rows = "".join(
        f"<tr><td>{_e(_short(child.name))}</td><td>{_e(child.status)}</td><td>{_e(_last(child))}</td></tr>"
        for child in found[:MOST_CHILDREN]
    )
    more = f"<tr><td>and {len(found) - MOST_CHILDREN:,} more</td></tr>" if len(found) > MOST_CHILDREN else ""
    head = "<tr><th>Child</th><th>Status</th><th>Last values</th></tr>"
    return f'<table class="mlr-facts"><thead>{head}</thead><tbody>{rows}{more}</tbody></table>'


def _children(run: RunHandle) -> list[Run]:
    from jupyter_mlrun.sdk.run import Run

    return list(Run.at(run.directory).get_children())


def _last(run: RunHandle) -> str:
    reader = MetricReader(run.directory.metrics)
    reader.refresh()
    return _short(", ".join(f"{name} = {number(value)}" for name, value in list(reader.last().items())[:4]))


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]} …"


def _e(text: str) -> str:
    # lone surrogates cannot be encoded, and a notebook must be
    return html.escape(text.encode("utf-8", "replace").decode(), quote=True)


# ---- as values -------------------------------------------------------------------------------------------------


def _properties(spec: Spec, state: RunState) -> dict[str, Any]:
    return {
        "run_id": spec.run_id,
        "display_name": spec.display_name,
        "created_utc": utc(spec.created),
        "start_time_utc": utc(state.started),
        "end_time_utc": utc(state.ended),
        "status": str(state.shown),
        "script_name": spec.script,
        "arguments": " ".join(spec.arguments),
        "tags": dict(spec.tags),
        "properties": dict(spec.properties),
        "run_duration": duration((state.ended or time.time()) - state.started) if state.started else None,
    }


def _metrics(run: RunHandle) -> list[dict[str, Any]]:
    reader = MetricReader(run.directory.metrics)
    reader.refresh()
    found = []
    for name in reader.names()[:MOST_METRICS]:
        series = reader.series(name)
        found.append(
            {
                "name": name,
                "run_id": run.id,
                "steps": series.steps[-MOST_POINTS:].tolist(),
                "categories": list(range(len(series)))[-MOST_POINTS:],
                "series": [{"data": series.objects[-MOST_POINTS:]}],
            }
        )
    return found


def _child(run: RunHandle) -> dict[str, Any]:
    return {"run_id": run.id, "name": run.name, "status": run.status}
