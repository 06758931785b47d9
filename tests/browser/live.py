"""The page on which the live view is tested without Jupyter: the shipped bundle, and a run that is made up.

Made by ``make`` (labextension/demo → build/demo); its address is answered from there, so that nothing listens.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Locator, Page, Route

from .conftest import SCREENSHOTS

ROOT = Path(__file__).parent.parent.parent
DEMO = ROOT / "build/demo"
PICTURES = Path(os.environ.get("LIVE_VIEW_PICTURES", SCREENSHOTS))
KINDS = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}
SITE = "https://live-view.test/"


@dataclass
class Demo:
    """One page with views."""

    page: Page
    errors: list[str] = field(default_factory=list)

    @property
    def view(self) -> Locator:
        """The first view."""
        return self.page.locator(".mlr-live").first

    def tab(self, name: str) -> None:
        """Choose a tab."""
        self.view.get_by_role("tab", name=name).click()

    def run(self, script: str, argument: Any = None) -> Any:
        """Evaluate ``(feed, argument) => …`` with the run that is made up."""
        return self.page.evaluate(f"argument => ({script})(window.demo.feed, argument)", argument)

    def until(self, script: str, argument: Any = None) -> None:
        """Wait until ``(feed, argument) => …`` is true."""
        self.page.wait_for_function(f"argument => ({script})(window.demo.feed, argument)", arg=argument)

    def heard(self, kind: str) -> list[dict[str, Any]]:
        """What the view said, of one type."""
        said: list[dict[str, Any]] = self.run("(feed, kind) => feed.heard.filter(m => m.type === kind)", kind)
        return said

    def drawn(self) -> None:
        """Wait until two frames were drawn: what was told before is on the page."""
        self.page.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")

    def rests(self, selector: str) -> None:
        """Wait until what scrolls there has come to rest: a wheel's turn is drawn out over many frames."""
        self.page.locator(selector).first.evaluate(
            """async place => {
              for (let [still, last] = [0, null]; still < 20; last = place.scrollTop) {
                still = place.scrollTop === last ? still + 1 : 0;
                await new Promise(requestAnimationFrame);
              }
            }"""
        )

    def picture(self, name: str) -> None:
        """A picture of the page, for people."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"live-{name}.png", full_page=True)


def serve(route: Route) -> None:
    """Answer from build/demo; nothing else is on this network."""
    address = route.request.url
    path = DEMO / (address.removeprefix(SITE).partition("?")[0] or "index.html")
    if address.startswith(SITE) and path.is_file():
        route.fulfill(path=path, content_type=KINDS[path.suffix])
    else:
        route.abort()


@pytest.fixture
def demo(browser: Browser) -> Iterator[Callable[..., Demo]]:
    """Open the page: ``demo("running", theme="dark", width=340)``."""
    if not (DEMO / "demo.js").is_file():
        reason = "build/demo is not there: make build/demo/demo.js"
        if os.environ.get("CI", "") not in {"", "false", "0"}:
            pytest.fail(f"{reason} (in CI it must not be missing)")
        pytest.skip(reason)
    opened: list[tuple[Demo, Any]] = []

    def open_page(scene: str, *, theme: str = "light", width: int = 1000, **more: Any) -> Demo:
        size = {"width": max(width + 40, 320), "height": 900}
        context = browser.new_context(viewport=size, permissions=["clipboard-read", "clipboard-write"])  # type: ignore[arg-type]
        made = Demo(context.new_page())
        opened.append((made, context))
        made.page.on("console", lambda said: made.errors.append(said.text) if said.type == "error" else None)
        made.page.on("pageerror", lambda error: made.errors.append(str(error)))
        made.page.on("dialog", lambda dialog: made.errors.append(f"a dialog: {dialog.message}"))
        made.page.route("**/*", serve)
        query = urlencode({"scene": scene, "theme": theme, "width": width, **more})
        made.page.goto(f"{SITE}?{query}")
        made.page.locator("body[data-ready]").wait_for(state="attached")
        if "busy" not in more:
            made.view.locator(".head").wait_for()
        return made

    yield open_page
    for made, context in opened:
        context.close()
        assert made.errors == []
