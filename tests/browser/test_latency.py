"""What a reader waits for, from log() to what is drawn: all of it comes; how long it took is printed, not asserted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from . import latency, million
from .latency import Figures, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def served(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("served"), browser)
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def without(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("without"), browser, kernel=True)
    yield stage
    stage.close()


def complete(figures: Figures) -> None:
    """Every value that was logged where somebody looks was drawn, or a newer one in its place."""
    print(figures)
    assert len(figures.waits) >= latency.COUNT


@pytest.mark.parametrize("active", [1, 20, 100])
def test_over_the_server(served: Stage, active: int) -> None:
    complete(latency.by_server(served, active))


def test_over_the_server_while_the_kernel_sleeps(served: Stage) -> None:
    complete(latency.by_server(served, 20, asleep=True))


def test_over_the_server_in_a_runs_document(served: Stage) -> None:
    complete(latency.by_document(served, 20))


@pytest.mark.parametrize("views", [1, 20])
def test_over_the_kernel_while_it_sleeps(without: Stage, views: int) -> None:
    complete(latency.by_kernel(without, views))


def test_a_million_points_and_lines_on_a_runs_page(served: Stage) -> None:
    run = million.written(served)
    # the first time the server reads them all; then it has what a view keeps
    for what in ("not read yet", "read before", "read before"):
        opened = million.opened(served, run, what)
        print(opened)
        assert opened.rows <= 2000
        assert len(opened.zooms) == million.ZOOMS


@pytest.mark.parametrize("way", ["served", "without"])
def test_a_burst_is_complete(request: pytest.FixtureRequest, way: str) -> None:
    print(latency.burst(request.getfixturevalue(way)))
