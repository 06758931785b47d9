"""A run's own page: one self-contained HTML file in its directory, fresh whenever it is asked for.

Reads the run directory; writes ``run.html``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_mlrun.rundir import write_atomic
from jupyter_mlrun.ui import view

if TYPE_CHECKING:
    from jupyter_mlrun.rundir import RunDir

REFRESH_SECONDS = 5
_DARK = (
    "body{margin:16px;background:#fff}@media(prefers-color-scheme:dark){body{background:#0d1117}"
    ":root{--jp-ui-font-color1:#e6edf3;--jp-ui-font-color2:#8d96a0;--jp-border-color2:#30363d;--jp-layout-color2:#161b22;"
    "--jp-brand-color1:#4493f8;--jp-success-color1:#3fb950;--jp-error-color1:#f85149;--jp-warn-color1:#d29922}}"
)


def write(run: RunDir, *, waiting: str | None = None) -> None:
    """Write the page as the run is now; while the run goes on, a browser loads it again by itself."""
    seen = view.look(run, waiting=waiting)
    refresh = "" if seen.state.is_over else f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">'
    body = view.as_html(run, waiting=waiting)
    text = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"{refresh}<title>{seen.icon} run</title><style>{_DARK}</style></head><body>{body}</body></html>"
    )
    write_atomic(run.page, text.encode("utf-8"), sync=False)
