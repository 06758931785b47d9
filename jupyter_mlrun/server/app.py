"""The extension of the Jupyter server, and what ``jupyter mlrun ui`` starts.

Reads the settings; writes a marker in Jupyter's runtime folder, by which runs find their page.
"""

from __future__ import annotations

import os
import re
import signal
from typing import Any, ClassVar

from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from traitlets import Unicode

from jupyter_mlrun import portal, settings
from jupyter_mlrun.errors import BadInput
from jupyter_mlrun.homepath import default_home
from jupyter_mlrun.server import code, commands, files, forms, lists, logs, machine, pages, runs
from jupyter_mlrun.server.api_runs import PREFIX
from jupyter_mlrun.server.base import KEY, Handler
from jupyter_mlrun.server.channel import LiveHandler
from jupyter_mlrun.server.service import Service

RUN = r"api/runs/(?P<run_id>[^/]+)"


class UnknownHandler(Handler):
    """Everything else below our prefix: one shape of errors there, too."""

    ACTIONS: ClassVar[dict[str, str]] = dict.fromkeys(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"), "read")

    async def get(self, _: str) -> None:
        self.send_error(404)

    head = post = put = patch = delete = get


ROUTES: tuple[tuple[str, type[Any]], ...] = (
    (r"", pages.BarePageHandler),
    (r"/", pages.ListPageHandler),
    (r"/runs/(?P<run_id>[^/]+)", pages.RunPageHandler),
    (r"/static/(?P<name>.+)", pages.StaticHandler),
    (r"/api/about", lists.AboutHandler),
    (r"/api/runs", lists.RunsHandler),
    (r"/api/runs/stop", commands.StopManyHandler),
    (r"/api/runs/delete", commands.DeleteManyHandler),
    (rf"/{RUN}", commands.OneRunHandler),
    (rf"/{RUN}/metrics", runs.MetricsHandler),
    (rf"/{RUN}/lines", logs.LinesHandler),
    (rf"/{RUN}/search", logs.SearchHandler),
    (rf"/{RUN}/files", files.FilesHandler),
    (rf"/{RUN}/file", files.FileHandler),
    (rf"/{RUN}/code", code.CodeHandler),
    (rf"/{RUN}/code/file", code.CodeFileHandler),
    (rf"/{RUN}/system", runs.SystemHandler),
    (rf"/{RUN}/saved", runs.SavedHandler),
    (rf"/{RUN}/children", runs.ChildrenHandler),
    (rf"/{RUN}/stop", commands.StopHandler),
    (rf"/{RUN}/rerun", commands.RerunHandler),
    (rf"/{RUN}/tag", commands.TagHandler),
    (rf"/{RUN}/rename", commands.RenameHandler),
    (rf"/{RUN}/register", commands.RegisterHandler),
    (r"/api/diff", code.DiffHandler),
    (r"/api/compare", code.CompareHandler),
    (r"/api/machine", machine.MachineHandler),
    (r"/api/submit-form", forms.FormHandler),
    (r"/api/complete", forms.FormHandler),
    (r"/api/live", LiveHandler),
    (r"/(?P<_>.+)", UnknownHandler),
)


class PagesApp(ServerApp):
    """The server that has nothing but runs."""

    def init_signal(self) -> None:
        """An interrupt ends it as SIGTERM does; at a terminal it asks first."""
        super().init_signal()
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            # jupyter_server would fall out of its loop, and leave its files and ours
            signal.signal(signal.SIGINT, self._signal_stop)


class MLRunApp(ExtensionApp):
    """Runs over HTTP."""

    name = "jupyter_mlrun"
    app_name = "jupyter_mlrun"
    description = "Runs: lists, pages and a live channel."
    extension_url = f"/{PREFIX}/"
    load_other_extensions = False  # alone, it needs none
    serverapp_class = PagesApp
    home = Unicode("", help="Where the runs are; default: JUPYTER_MLRUN_HOME, else the user's data folder.").tag(
        config=True
    )
    workspace = Unicode("", help="Workspace that is shown where none is named; default: the configured one.").tag(
        config=True
    )

    def initialize_settings(self) -> None:
        """Make what the handlers share."""
        from pathlib import Path

        home = Path(self.home).expanduser().absolute() if self.home else default_home()
        self.service = Service(home, self.workspace or self._configured())
        self.settings[KEY] = self.service

    def _configured(self) -> str:
        try:
            return settings.load().workspace
        except BadInput as problem:
            self.log.warning("jupyter_mlrun: %s", problem)
            return "default"

    def initialize_handlers(self) -> None:
        """Add the routes; jupyter_server puts the base URL before them."""
        self.handlers.extend((rf"/{re.escape(PREFIX)}{path}", handler) for path, handler in ROUTES)

    async def _start_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        """The server's address is known: let runs find it."""
        # behind a hub, the address that people use is another one
        public = os.environ.get("JUPYTERHUB_PUBLIC_URL") or serverapp.connection_url
        portal.announce(url_path_join(public, PREFIX), self.service.home)

    async def stop_extension(self) -> None:
        """The server ends."""
        portal.withdraw()
        self.service.close()


main = launch = MLRunApp.launch_instance
