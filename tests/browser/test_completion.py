"""What a real JupyterLab offers in a ``%%submit`` line of what the workspace has: computes, environments, data sets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from jupyter_mlrun import Environment, Workspace
from jupyter_mlrun.sdk.compute import AmlCompute, ComputeTarget
from jupyter_mlrun.store.home import WorkspaceDir
from tests.datasets import uploaded

from .test_lab import notebook

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Lab, Server

pytestmark = pytest.mark.browser


@pytest.fixture
def named(server: Server, tmp_path: Path) -> None:
    """Two of each: of a single one JupyterLab would make no menu."""
    workspace = Workspace(WorkspaceDir(server.home, "default").make().name, home=server.home)
    for name, nodes in (("cluster-a", 4), ("cluster-b", 2)):
        size = AmlCompute.provisioning_configuration(vm_size="STANDARD_NC6", max_nodes=nodes)
        ComputeTarget.create(workspace, name, size)
    for name in ("torch stable", "torch nightly"):
        Environment(name).register(workspace)
    for name in ("pictures-of-cats", "pictures-of-dogs"):
        uploaded(workspace, tmp_path / name, name, a_txt=name).register(workspace, name)


@pytest.mark.usefixtures("named")
def test_what_the_workspace_has_is_taken_with_the_keyboard(lab: Lab) -> None:
    (lab.notebooks / "completed.ipynb").write_text(notebook("%%submit"))
    lab.open("completed.ipynb")
    line = lab.page.locator(".jp-Notebook .jp-CodeCell .cm-line").first
    offered = lab.page.locator(".jp-Completer-item")
    keyboard = lab.page.keyboard
    line.click()
    keyboard.press("End")

    def ask(words: str) -> None:
        keyboard.type(words)
        keyboard.press("Tab")

    def take(key: str, result: str) -> None:
        keyboard.press(key)
        expect(line).to_have_text(result)
        expect(lab.page.locator(".jp-Completer")).to_be_hidden()

    written = "%%submit -t cluster-b"
    ask(" -t ")
    expect(offered.filter(has_text="local")).to_be_visible()
    cluster = offered.filter(has_text="cluster-b")
    expect(cluster).to_contain_text("compute")
    keyboard.type("cluster-b")
    expect(offered).to_have_count(1)
    take("Enter", written)

    written += " --env 'torch stable'"
    ask(" --env tor")
    expect(offered).to_have_count(2)
    expect(offered.first).to_contain_text("torch nightly")
    expect(offered.first).to_contain_text("environment")
    keyboard.press("ArrowDown")
    expect(offered.filter(has_text="torch stable")).to_have_class(re.compile("jp-mod-active"))
    take("Enter", written)

    # its name as a variable can be called, unless it says so itself
    written += " -i pictures_of_cats=pictures-of-cats"
    ask(" -i ")
    expect(offered.filter(has_text="pictures_of_dogs=pictures-of-dogs")).to_contain_text("dataset")
    keyboard.type("pictures_of_ca")  # JupyterLab takes letters from anywhere in the name
    expect(offered).to_have_count(1)
    take("Tab", written)
    written += " --input dogs=pictures-of-dogs"
    ask(" --input dogs=pic")
    expect(offered.filter(has_text="dataset")).to_have_count(2)  # beside words of the cell, which JupyterLab offers
    lab.screenshot("completion-data")
    keyboard.type("tures-of-dogs")
    expect(offered).to_have_count(1)
    take("Enter", written)
    assert lab.errors == []
