"""What stays out of a snapshot, and how it comes back."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from jupyter_mlrun.store import snapshot
from jupyter_mlrun.store.ignore import IgnoreFile
from tests.conftest import need

KEY = b"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n"
NEVER = [".git/config", "__pycache__/a.pyc", ".venv/bin/python", ".ipynb_checkpoints/a.ipynb", "outputs/m.pt", "logs/x"]
SECRETS = [
    ".env", ".env.local", ".env.test.local", ".netrc", ".pypirc", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519",
    "id_ed25519_sk", ".aws/credentials", ".ssh/config", "tls.key", "cert.pem",
]  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.mkdir()
    return path


def put(root: Path, *names: str, data: bytes = b"x") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def kept(root: Path, **options: object) -> set[str]:
    return set(snapshot.scan(root, **options).paths())  # type: ignore[arg-type]


def named(root: Path) -> dict[str, str]:
    return dict(snapshot.scan(root).left_out)


def test_what_is_never_source_stays_out_and_is_named(source: Path) -> None:
    put(source, "main.py", "sub/outputs/kept", "sub/logs/kept", "sub/__pycache__/b.pyc", *NEVER)
    assert kept(source) == {"main.py", "sub/outputs/kept", "sub/logs/kept"}
    assert {".git", "outputs", "logs", "sub/__pycache__"} <= named(source).keys()


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_stays_out_and_is_named(source: Path, name: str) -> None:
    put(source, "main.py")
    put(source, name, f"deep/{name}", data=KEY)
    assert kept(source) == {"main.py"}
    top = name.partition("/")[0]
    assert {top, f"deep/{top}"} == named(source).keys()
    assert all("secrets" in why or "private key" in why for why in named(source).values())


@pytest.mark.parametrize("name", SECRETS)
def test_include_brings_a_secret_back_with_a_warning(source: Path, name: str) -> None:
    put(source, name, data=KEY)
    plan = snapshot.scan(source, include=[name])
    assert set(plan.paths()) == {name}
    assert any(name in text for text in plan.warnings)


def test_a_certificate_is_no_secret_and_a_key_behind_one_is(source: Path) -> None:
    put(source, "ca.pem", data=b"-----BEGIN CERTIFICATE-----\nMIIC\n")
    put(source, "both.pem", data=b"-----BEGIN CERTIFICATE-----\n" + b"A" * 20_000 + b"\n" + KEY)
    assert kept(source) == {"ca.pem"}


def test_an_ignored_secret_is_named_all_the_same(source: Path) -> None:
    put(source, ".env", "big.bin")
    put(source, ".gitignore", data=b".env\nbig.bin\n")
    assert set(named(source)) == {".env"}


def test_a_negation_in_an_ignore_file_does_not_bring_a_secret_back(source: Path) -> None:
    put(source, ".env")
    put(source, ".gitignore", data=b"!.env\n")
    assert kept(source) == {".gitignore"}


def test_amlignore_at_the_root_wins_over_every_gitignore(source: Path) -> None:
    put(source, "a.txt", "b.txt", "sub/a.txt", "sub/c.txt")
    put(source, ".gitignore", data=b"a.txt\n")
    put(source, "sub/.gitignore", data=b"c.txt\n")
    assert kept(source) == {".gitignore", "b.txt", "sub/.gitignore"}
    put(source, ".amlignore", data=b"b.txt\n")
    assert kept(source) == {".amlignore", ".gitignore", "a.txt", "sub/.gitignore", "sub/a.txt", "sub/c.txt"}


def test_include_reaches_into_ignored_folders(source: Path) -> None:
    put(source, "data/big/one.csv", "data/big/two.csv", "data/x", ".git/config")
    put(source, ".gitignore", data=b"data/\n")
    assert kept(source, include=["data/big/one.csv"]) == {".gitignore", "data/big/one.csv"}
    assert kept(source, include=["data"]) == {".gitignore", "data/big/one.csv", "data/big/two.csv", "data/x"}


RULES = {
    ".gitignore": b"*.log\n!keep.log\n/top\nbuild/\n# a comment\n\\#odd\ndoc/**/x?.txt\n[ab].c\n  \n"
    b"space\\ \nsub/*.tmp\n**/deep\n",
    "sub/.gitignore": b"!a.log\n/only\n*\n!*/\n!*.py\n!*.log\n",
    "lib/.gitignore": b"\xef\xbb\xbfbom\r\ncrlf\r\n!a.c\n",
}
FILES = [
    "a.log", "keep.log", "top", "d/top", "build/x", "d/build/x", "e/build", "#odd", "doc/x1.txt", "doc/a/b/x2.txt",
    "doc/xx1.txt", "a.c", "c.c", "space ", "sub/a.tmp", "sub/b.log", "sub/a.log", "sub/only", "sub/m.py", "sub/d/m.py",
    "sub/d/x", "q/deep/x", "deep", "lib/bom", "lib/crlf", "lib/a.c", "lib/b.c",
]  # fmt: skip


def test_ignore_files_mean_what_git_says(source: Path) -> None:
    need(shutil.which("git"), "git is not installed")
    put(source, *FILES)
    for name, text in RULES.items():
        put(source, name, data=text)
    environment = {"PATH": os.environ["PATH"], "HOME": str(source), "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*words: str) -> bytes:
        return subprocess.run(["git", *words], cwd=source, env=environment, check=True, capture_output=True).stdout

    git("init", "-q")
    said = git("ls-files", "-z", "--others", "--exclude-standard").decode().rstrip("\0").split("\0")
    assert kept(source) == set(said)


def test_hostile_patterns_take_no_time(source: Path) -> None:
    lines = [
        "**/" * 60 + "x",
        "*a" * 60 + "z",
        "a*" * 100 + "b",
        "[",
        "!",
        "/",
        "**",
        "!**/keep",
        *(f"n{n}" for n in range(10_000)),
    ]
    put(source, "a" * 200, "/".join("d" * 30) + "/y", "keep")
    put(source, ".gitignore", data="\n".join(lines).encode())
    begun = time.process_time()
    assert kept(source) == {"keep"}
    assert time.process_time() - begun < 5


def test_an_ignore_file_that_is_no_file_says_nothing(source: Path) -> None:
    (source / ".gitignore").mkdir()
    put(source, "a")
    assert kept(source) == {"a"}


def test_a_line_that_means_nothing_is_passed_over() -> None:
    rules = IgnoreFile("!\n\\\n\n#\nx\n")
    assert rules.says("x", is_folder=False)
    assert rules.says("y", is_folder=False) is None
