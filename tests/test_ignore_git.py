"""Random ignore files in random trees: git's own answer is the measure; and hostile patterns cost little."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_mlrun.store.snapshot import scan
from tests.conftest import need

STARRY = "*a*a*a*a*a*a*a*a*a*a*a*a*b"


def tree(root: Path, *paths: str) -> Path:
    for path in paths:
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"x")
    return root


def git_keeps(root: Path) -> set[str]:
    """The files that git would add, by the ignore files of the tree alone."""
    git = need(shutil.which("git"), "git is the reference here")
    environment = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run([git, "init", "-q", str(root)], check=True, env=environment)
    words = [git, "ls-files", "-o", "-z", "--exclude-per-directory=.gitignore"]
    listed = subprocess.run(words, cwd=root, check=True, env=environment, capture_output=True).stdout
    shutil.rmtree(root / ".git")
    return {os.fsdecode(path) for path in listed.split(b"\0") if path}


FIXED = [
    "*.log\n!keep.log", "build/", "/build", "a/**/c.txt", "**/c.txt", "a/**", "a/**\n!a/b/", "a/*\n!a/b",
    "a/*\n!a/b/\na/b/*\n!a/b/c.txt", "!a/\n*.txt", "*.txt\n!a/", "a\n!a/b/c.txt", "\\!odd\n\\#odd",
    "# comment\n\n   \n*.txt  ", "trailing\\ ", "[a-c]?[!x].txt", "a\\*b", "*\n!*.txt\n!*/", "*\r\n!*.txt\r\n",
    "\ufeff*.log", "**", "*a*b*c*.txt", "report.[0-9]*.[0-9]*.[0-9]*.json", "a/**/b/**/c/**/d.txt", "foo[", "//",
    "a//b", "./a", "a/./b", "/", "!", "x\x0cy.txt", "here",
]  # fmt: skip


@pytest.mark.parametrize("text", FIXED)
def test_git_says_the_same(tmp_path: Path, text: str) -> None:
    root = tree(
        tmp_path / "src", "x.log", "keep.log", "build/x", "a/build", "c.txt", "a/c.txt", "a/b/c.txt", "a/b/d.log",
        "a/x/b/y/c/z/d.txt", "!odd", "#odd", "trailing ", "b1c.txt", "aZbZcZ.txt", "abc.txt", "a*b", "acb",
        "report.1.22.333.json", "report.1.22.json", "foo[", "x\x0cy.txt", "y.txt", "e/here", "here/e", "ab/here",
    )  # fmt: skip
    (root / ".gitignore").write_text(text, newline="")
    assert set(scan(root).paths()) == git_keeps(root)


NAMES = ["a", "b", "ab", "abc", "aab", "b.txt", "a.txt", "x1", ".a", "a b"]
ATOMS = ["a", "b", "*", "**", "?", "ab", "[ab]", "[!a]", "*.txt", "a*", "*b", "a*b*c", "x[0-9]", "*a*a*b", ".a", "a?*"]


def random_lines(source: random.Random) -> str:
    lines = []
    for _ in range(source.randint(1, 5)):
        steps = [source.choice(ATOMS) for _ in range(source.choice([1, 1, 1, 2, 2, 3, 4, 5]))]
        line = source.choice(["", "", "/"]) + "/".join(steps) + source.choice(["", "", "/"])
        lines.append(source.choice(["", "", "", "!"]) + line)
    return "\n".join(lines)


@pytest.mark.parametrize("seed", range(60))
def test_git_says_the_same_of_random_files(tmp_path: Path, seed: int) -> None:
    source = random.Random(seed)
    root = tmp_path / "src"
    root.mkdir()
    for _ in range(60):
        folder = root.joinpath(*(source.choice(NAMES) for _ in range(source.randint(0, 4))))
        place = folder / source.choice(NAMES)
        if not place.exists() and not any(parent.is_file() for parent in place.parents):
            tree(folder, place.name)
    for folder in [root, *(path for path in sorted(root.rglob("*")) if path.is_dir() and source.random() < 0.2)]:
        (folder / ".gitignore").write_text(random_lines(source))
    assert set(scan(root).paths()) == git_keeps(root)


CODE = """
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
from jupyter_mlrun.store.ignore import IgnoreFile
print(IgnoreFile(sys.argv[1]).says(sys.argv[2], is_folder=False))
"""


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        (STARRY, "a" * 255, "None"),
        (STARRY, "a" * 200 + "b", "True"),
        ("x/" + STARRY + "/y", "x/" + "a" * 255 + "/y", "None"),
        ("**/a/" * 12 + "b", "a/" * 500 + "c", "None"),
        ("**/a/" * 12 + "b", "a/" * 500 + "b", "True"),
        ("**/" * 300 + "b", "a/" * 500 + "c", "None"),
        ("*?" * 60 + "b", "a" * 255, "None"),
        ("[ab]*" * 40 + "c", "ab" * 127, "None"),
        ("**/*a*a*a*a*a/" * 6 + "b", ("a" * 60 + "/") * 30 + "c", "None"),
    ],
    ids=range(9),
)
def test_hostile_patterns_take_little_work(text: str, path: str, says: str) -> None:
    """The kernel ends the process after five seconds of CPU; backtracking would take years."""
    done = subprocess.run([sys.executable, "-c", CODE, text, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == says
