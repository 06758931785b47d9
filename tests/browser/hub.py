"""Forwards everything to one server, as the proxy of a JupyterHub does: the same path and host, and X-Forwarded-*.

``python hub.py PORT TARGET``: from port PORT to port TARGET of this machine; prints what it forwards, a line each.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.httputil import HTTPHeaders
from tornado.web import Application
from tornado.websocket import WebSocketClosedError, WebSocketHandler, websocket_connect

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "content-length", "te", "trailer"}
LONG = 600.0  # it gives nothing up: those at its ends do


class Forward(WebSocketHandler):
    """One request, or one WebSocket."""

    def initialize(self, target: int) -> None:
        self.target = target
        self.other: Any = None

    async def prepare(self) -> None:
        uri, kind = self.request.uri or "", self.request.headers.get("Upgrade", "http").lower()
        print(kind, uri.partition("?")[0], flush=True)
        to = f"127.0.0.1:{self.target}{uri}"
        if kind == "websocket":
            asked = self.request.headers.get("Sec-WebSocket-Protocol", "")
            protocols = [one.strip() for one in asked.split(",") if one.strip()]
            self.other = await websocket_connect(
                HTTPRequest(f"ws://{to}", headers=self._heads(), connect_timeout=LONG), subprotocols=protocols
            )
            return
        asking = HTTPRequest(
            f"http://{to}", method=self.request.method or "GET", headers=self._heads(), body=self.request.body or None,
            allow_nonstandard_methods=True, follow_redirects=False, decompress_response=False,
            request_timeout=LONG, connect_timeout=LONG,
        )  # fmt: skip
        answer = await AsyncHTTPClient().fetch(asking, raise_error=False)
        self.clear()
        self.set_status(answer.code, answer.reason)
        for name, value in answer.headers.get_all():
            if name.lower() == "set-cookie":
                self.add_header(name, value)
            elif name.lower() not in HOP_BY_HOP:
                self.set_header(name, value)
        if answer.body and answer.code not in {204, 304}:
            self.write(answer.body)
        await self.finish()

    def _heads(self) -> HTTPHeaders:
        found = HTTPHeaders()
        for name, value in self.request.headers.get_all():
            if name.lower() not in HOP_BY_HOP and not name.lower().startswith("sec-websocket-"):
                found.add(name, value)
        found["X-Forwarded-For"], found["X-Forwarded-Proto"] = "192.0.2.7", "http"
        found["X-Forwarded-Host"] = self.request.host
        return found

    def check_origin(self, origin: str) -> bool:
        return True  # that is the server's business

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        chosen: str | None = self.other.selected_subprotocol
        return chosen

    def open(self, *args: str, **kwargs: str) -> None:
        self.pumping = asyncio.ensure_future(self._pump())

    async def _pump(self) -> None:
        """What the server says."""
        try:
            while (said := await self.other.read_message()) is not None:
                await self.write_message(said, binary=isinstance(said, bytes))
            self.close()
        except WebSocketClosedError:
            self.other.close()

    async def on_message(self, message: str | bytes) -> None:
        try:
            await self.other.write_message(message, binary=isinstance(message, bytes))
        except WebSocketClosedError:
            self.close()

    def on_close(self) -> None:
        if self.other is not None:
            self.other.close()


async def main(port: int, target: int) -> None:
    """Forward until killed."""
    one = Application([(".*", Forward, {"target": target})])
    one.listen(port, "127.0.0.1", max_buffer_size=200_000_000)
    print("up", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    AsyncHTTPClient.configure(None, max_clients=100, max_body_size=200_000_000)
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
