"""Who may ask what: every route and method of the live table, so that a new one cannot be forgotten."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from http.cookies import SimpleCookie
from typing import Any, NamedTuple

import pytest
import websocket
from jupyter_server.auth.authorizer import Authorizer
from tornado.routing import PathMatches
from tornado.web import RequestHandler

from jupyter_mlrun.server.base import RESOURCE
from jupyter_mlrun.store.home import WorkspaceDir
from tests.runs import ended_run
from tests.server.conftest import TOKEN, Server

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
ELSEWHERE = {"Origin": "https://evil.example"}
RUN = "exp_1700000000_00000000"
SAMPLES = {"run_id": RUN, "name": "page.js", "_": "nowhere"}


class Route(NamedTuple):
    path: str
    handler: Any

    @property
    def actions(self) -> dict[str, str]:
        found: dict[str, str] = getattr(self.handler, "ACTIONS", {})
        return found

    @property
    def is_page(self) -> bool:
        return "/api/" not in self.path and "/static/" not in self.path and not self.path.endswith("nowhere")


def rules(router: Any) -> Iterator[Any]:
    for rule in router.rules:
        if hasattr(rule.target, "rules"):
            yield from rules(rule.target)
        else:
            yield rule


def routes(server: Server) -> list[Route]:
    """The routes of the running server that are below our prefix, or ours."""
    found = []
    for rule in rules(server.app.web_app.default_router):
        if not isinstance(rule.matcher, PathMatches):
            continue
        pattern = rule.matcher.regex.pattern.removesuffix("$")
        if "mlrun" in pattern or getattr(rule.target, "__module__", "").startswith("jupyter_mlrun"):
            path = re.sub(r"\(\?P<(\w+)>(?:[^()]|\[[^]]*\])*\)", lambda match: SAMPLES.get(match[1], "x"), pattern)
            path = path.replace("\\", "")
            if not path.endswith("/?"):  # jupyter_server's own redirect of slashes
                found.append(Route(path, rule.target))
    return found


class Visitor:
    """A browser that has logged in."""

    def __init__(self, server: Server) -> None:
        self.server = server
        cookies: SimpleCookie = SimpleCookie()
        for said in server.get(f"?token={TOKEN}", token=None).headers.get_all("Set-Cookie") or ():
            cookies.load(said)
        self.cookies = "; ".join(f"{one.key}={one.value}" for one in cookies.values())
        self.xsrf = cookies["_xsrf"].value

    def ask(self, method: str, path: str, *, xsrf: bool = True, **headers: str) -> Any:
        more = {"Cookie": self.cookies, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if xsrf:
            more["X-XSRFToken"] = self.xsrf
        return self.server.ask(method, path, token=None, headers=more)


def refused(server: Server, routes: list[Route], **how: Any) -> list[str]:
    """The routes and methods that do not turn away a visitor like this."""
    wrong = []
    for route in routes:
        for method in METHODS:
            answer = server.ask(method, route.path, **how)
            login = route.is_page and method in {"GET", "HEAD"} and answer.status == 302
            if not (answer.status == 403 or (login and "/login" in answer.headers["Location"])):
                wrong.append(f"{method} {route.path}: {answer.status}")
    return wrong


@pytest.fixture
def run(place: WorkspaceDir) -> None:
    ended_run(place)


def test_the_table_is_read_whole(server: Server) -> None:
    found = routes(server)
    assert len(found) == len({route.path for route in found}) >= 28
    assert f"/jupyter-mlrun/api/runs/{RUN}/code/file" in {route.path for route in found}
    assert all(set(route.actions.values()) <= {"read", "write", "execute"} and route.actions for route in found)


@pytest.mark.parametrize("token", [None, "wrong"])
def test_nobody_gets_anything_without_authentication(server: Server, run: None, token: str | None) -> None:
    assert refused(server, routes(server), token=token) == []


def test_a_route_without_authentication_is_found(server: Server) -> None:
    class Open(RequestHandler):
        def get(self) -> None:
            self.finish("hello")

        def check_xsrf_cookie(self) -> None:
            return

    server.app.web_app.add_handlers(".*$", [("/jupyter-mlrun-open", Open)])  # type: ignore[no-untyped-call]
    found = [route for route in routes(server) if route.handler is Open]
    assert refused(server, found, token=None)[0] == "GET /jupyter-mlrun-open: 200"


def test_other_hosts_are_refused(server: Server, run: None) -> None:
    wrong = [
        f"{method} {route.path}"
        for route in routes(server)
        for method in METHODS
        if server.ask(method, route.path, headers={"Host": "evil.example"}).status != 403
    ]
    assert wrong == []


def test_methods_that_a_route_has_not_are_not_allowed(server: Server, run: None) -> None:
    wrong = []
    for route in routes(server):
        for method in METHODS:
            if method not in route.actions:
                answer = server.ask(method, route.path)
                if answer.status != 405:
                    wrong.append(f"{method} {route.path}: {answer.status}")
    assert wrong == []


def test_changes_need_the_xsrf_token(server: Server, run: None) -> None:
    visitor = Visitor(server)
    for route in routes(server):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            answer = visitor.ask(method, route.path, xsrf=False)
            assert answer.status == 403, (method, route.path)
            answer = visitor.ask(method, route.path, Origin="https://evil.example")
            assert answer.status in {403, 404}, (method, route.path)
            assert not route.path.endswith("/delete") or b"not found" in answer.body.lower() or answer.status == 403
    assert visitor.ask("DELETE", f"/jupyter-mlrun/api/runs/{RUN}").status == 200


def test_reading_from_other_sites_is_refused(server: Server, run: None) -> None:
    visitor = Visitor(server)
    for route in routes(server):
        if "GET" not in route.actions or route.is_page:
            continue
        assert visitor.ask("GET", route.path, Sec_Fetch_Site="cross-site").status == 403, route.path
        if not route.path.endswith("/live"):
            assert visitor.ask("GET", route.path, Origin="https://evil.example").status in {403, 404}, route.path
    assert visitor.ask("GET", "/jupyter-mlrun/api/runs", Sec_Fetch_Site="same-origin").status == 200


class ReadOnly(Authorizer):
    """Lets people read, and only of what is ours."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return action == "read" and resource == RESOURCE


class Nothing(Authorizer):
    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return resource != RESOURCE


def test_who_may_only_read_changes_nothing(serve: Callable[..., Server], place: WorkspaceDir, run: None) -> None:
    server = serve(authorizer_class=ReadOnly)
    for route in routes(server):
        for method, action in route.actions.items():
            answer = server.ask(method, route.path)
            assert (answer.status == 403) == (action != "read"), (method, route.path, answer.status)
    about = server.get("api/about").json
    assert (about["can_write"], about["can_execute"]) == (False, False)
    live = server.live()
    live.follow(RUN)
    live.say(do="say", sub=1, message={"type": "command", "ask": 3, "name": "stop"})
    assert live.until(lambda one: one["type"] == "done")["error"] == "you may not stop runs here"
    live.close()


def test_who_may_nothing_gets_nothing(serve: Callable[..., Server], place: WorkspaceDir, run: None) -> None:
    server = serve(authorizer_class=Nothing)
    for route in routes(server):
        for method in METHODS:
            expected = 403 if method in route.actions else 405
            assert server.ask(method, route.path).status == expected, (method, route.path)
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        server.live()


@pytest.mark.parametrize(
    ("token", "origin"),
    [(None, None), ("wrong", None), (None, "https://evil.example")],
)
def test_the_live_channel_is_refused_before_it_opens(server: Server, token: str | None, origin: str | None) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        server.live(token=token, **({} if origin is None else {"origin": origin}))


def test_the_live_channel_of_a_logged_in_browser_needs_its_origin(server: Server) -> None:
    visitor = Visitor(server)
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        server.live(token=None, cookie=visitor.cookies, origin="https://evil.example")
    live = server.live(token=None, cookie=visitor.cookies, origin=f"http://{server.host}")
    live.say(do="open", sub=1, what="machine")
    assert live.hear()[0]["type"] == "machine"
    live.close()


def test_errors_have_one_shape(server: Server) -> None:
    for answer in (
        server.get("api/nowhere"),
        server.get("api/runs/exp_1_ffffffff"),
        server.get("api/runs?sort=nonsense"),
        server.get("api/runs", token=None),
        server.ask("PUT", "api/runs"),
        server.post("api/runs/delete", b"{"),
    ):
        assert answer.headers["Content-Type"] == "application/json"
        assert set(answer.json) == {"error"}
        assert set(answer.json["error"]) == {"kind", "message", "hint"}


def test_a_preflight_tells_nothing(server: Server) -> None:
    answer = server.ask("OPTIONS", "api/runs", token=None, headers=ELSEWHERE)
    assert answer.body == b""
    assert "Access-Control-Allow-Origin" not in answer.headers
