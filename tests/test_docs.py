"""The documentation is true: its paths and links exist, and what users meet is in it."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
names = [str(page.relative_to(ROOT)) for page in PAGES]

LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
# a path as pages write it: with a folder and nothing that makes it a pattern or an example
PATH = re.compile(r"[\w.][\w.\-]*(/[\w.\-]+)+/?\Z|[\w\-]+\.(py|ts|sh|md|ipynb)\Z|Makefile\Z")
OURS = {"jupyter_mlrun", "labextension", "tests", "examples", "notebooks", "docs", ".ci"}


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def text_of(paths: list[Path]) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def documentation() -> str:
    """What a user reads to learn what there is."""
    pages = [page for page in PAGES if page.name not in {"CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"}]
    if not pages:
        pytest.skip("there is no README yet")
    return text_of(pages)


def must_say(pattern: str, what: str) -> None:
    if not re.search(pattern, documentation()):
        pytest.fail(f"{what} is in no page: say in README.md or docs/ what it is for", pytrace=False)


def headings(page: Path) -> set[str]:
    """The anchors of a page, as the usual renderers make them."""
    found = re.findall(r"(?m)^#+\s+(.*?)\s*$", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in found}


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_links_resolve(page: Path) -> None:
    broken = []
    for match in LINK.finditer(page.read_text(encoding="utf-8")):
        link = match.group(1) or match.group(2)
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in headings(target)):
            broken.append(link)
    assert not broken, f"{page.name} has links that lead nowhere"


def paths_in(page: Path) -> Iterator[str]:
    for match in CODE.finditer(page.read_text(encoding="utf-8")):
        word = match.group(1)
        if PATH.match(word) and (word.split("/")[0] in OURS or "/" not in word):
            yield word


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md"])
def test_paths_exist(name: str) -> None:
    page = ROOT / name
    if not page.exists():
        pytest.skip(f"there is no {name} yet")
    # a bare file name may stand under the folder that the line is about
    known = {Path(path).name for path in tracked()}
    missing = [word for word in paths_in(page) if not (ROOT / word).exists() and word not in known]
    assert not missing, f"{name} names what is not there"


def verbs() -> list[str]:
    try:
        cli: Any = importlib.import_module("jupyter_mlrun.cli")
    except ModuleNotFoundError:
        return []
    import click

    groups = [thing for thing in vars(cli).values() if isinstance(thing, click.Group)]
    return sorted({verb for group in groups for verb in group.commands})


@pytest.mark.parametrize("verb", verbs())
def test_verb_is_documented(verb: str) -> None:
    must_say(rf"(jupyter[ -]mlrun |%mlrun |`){re.escape(verb)}\b", f"the verb {verb}")


def options() -> list[str]:
    from jupyter_mlrun.options import OPTIONS

    return sorted(option.flags[-1] for option in OPTIONS)


@pytest.mark.parametrize("option", options())
def test_option_is_documented(option: str) -> None:
    must_say(rf"{re.escape(option)}(?![\w-])", f"the option {option}")


def error_classes() -> list[str]:
    tree = ast.parse((ROOT / "jupyter_mlrun/errors.py").read_text())
    return [node.name for node in tree.body if isinstance(node, ast.ClassDef)]


@pytest.mark.parametrize("error", error_classes())
def test_error_is_documented(error: str) -> None:
    must_say(rf"\b{error}\b", f"the error {error}")


def settings() -> list[str]:
    from jupyter_mlrun.settings import JupyterMLRun

    return sorted(JupyterMLRun.class_own_traits(config=True))


@pytest.mark.parametrize("setting", settings())
def test_setting_is_documented(setting: str) -> None:
    must_say(rf"\b{setting}\b", f"the setting {setting}")


# In pieces, so that this file does not find itself.
HOSTS = [
    "registry.npm" + "js",
    "registry.yarn" + "pkg",
    "pypi." + "org",
    "python" + "hosted",
    "download.py" + "torch",
    "anaconda." + "org",
    "deb.deb" + "ian",
]
MACHINE = re.compile(r"(?<![\w./<>{}-])/(work/(main|shared)|fa" + r"rm|home/\w+|ro" + r"ot/|Users/\w+)\b")


def test_no_registry_and_no_machine_in_any_file() -> None:
    found = []
    for name in tracked():
        try:
            lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(lines, 1):
            found += [f"{name}:{number}: {host}" for host in HOSTS if host in line]
            found += [f"{name}:{number}: {match.group()}" for match in [MACHINE.search(line)] if match]
    assert not found, "a registry's host or a path of one machine:\n" + "\n".join(found)
