"""The verb ``ui``: the pages of runs in a browser, without JupyterLab.

Starts a Jupyter server that has our extension alone.
"""

from __future__ import annotations

import sys

import click

from jupyter_mlrun.errors import BadInput


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--port", type=click.IntRange(0, 65_535), help="Default: 8888, or the next that is free.")
@click.option("--ip", default=None, metavar="ADDRESS", help="Where to listen; default: this machine alone.")
@click.option("--no-browser", is_flag=True, help="Print the address, open nothing.")
@click.argument("more", metavar="[SERVER OPTION…]", nargs=-1, type=click.UNPROCESSED)
def ui(port: int | None, ip: str | None, no_browser: bool, more: tuple[str, ...]) -> None:
    """Show runs in a browser.  What else there is goes to the Jupyter server, as --ServerApp.base_url=/me/."""
    shell = getattr(sys.modules.get("IPython.core.interactiveshell"), "InteractiveShell", None)
    if shell is not None and shell.initialized():
        raise BadInput(
            "a notebook's kernel cannot be a server as well",
            hint="run 'jupyter mlrun ui' in a shell; JupyterLab has the runs in its sidebar",
        )
    arguments = list(more)
    if port is not None:
        arguments.append(f"--ServerApp.port={port}")
    if ip is not None:
        arguments.append(f"--ServerApp.ip={ip}")
    if no_browser:
        arguments.append("--no-browser")
    from jupyter_mlrun.server.app import MLRunApp  # a second of imports, for this verb alone

    MLRunApp.launch_instance(arguments)  # type: ignore[no-untyped-call]  # jupyter_server has no type for it


VERBS = (ui,)
