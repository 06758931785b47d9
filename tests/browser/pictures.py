"""Makes the pictures of README and docs anew: a real JupyterLab, real runs that train on handwritten digits.

``python -m tests.browser.pictures`` (``make screenshots``) writes docs/images/*.png; look at them before you commit
them.  ``… seed FOLDER`` is its own helper: it submits the runs that are there before the first picture.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page, expect, sync_playwright

from tests.browser import conftest
from tests.browser.test_lab import notebook
from tests.support import free_port

IMAGES = conftest.ROOT / "docs/images"
SECONDS = conftest.SECONDS
COLOURS = 160  # of a picture: more than anybody sees, and a third of the bytes
MOST_BYTES = 200_000
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
EPOCHS = 60
TRAINING = '''\
"""Trains a small network on scikit-learn's handwritten digits."""

import time

from jupyter_mlrun import log
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier


def train(hidden, lr, epochs=60):
    images, labels = load_digits(return_X_y=True)
    x, x_val, y, y_val = train_test_split(images / 16, labels, test_size=0.3, random_state=0)
    print(f"{len(x)} images to train on, {len(x_val)} to validate", flush=True)
    model = MLPClassifier((hidden,), learning_rate_init=lr, batch_size=64, random_state=0)
    for epoch in range(1, epochs + 1):
        model.set_params(learning_rate_init=lr * 0.97**epoch)
        model.partial_fit(x, y, classes=range(10))
        val_loss = log_loss(y_val, model.predict_proba(x_val))
        accuracy = model.score(x_val, y_val)
        log("train_loss", model.loss_, step=epoch)
        log("val_loss", val_loss, step=epoch)
        log("val_accuracy", accuracy, step=epoch)
        log("lr", lr * 0.97**epoch, step=epoch)
        losses = f"train loss {model.loss_:.3f}  val loss {val_loss:.3f}"
        print(f"epoch {epoch:2d}  {losses}  accuracy {accuracy:.3f}", flush=True)
        time.sleep(0.3)
'''
CELL = """\
from training import train

hidden = 32  # replaced by -p
lr = 0.002
train(hidden=hidden, lr=lr)
"""
LIVE = f'%%submit --name "wider and slower" -s . -p hidden=128 -p lr=0.001\n{CELL}'
BEFORE = (
    ("baseline", ("hidden=32", "lr=0.002")),
    ("more hidden units", ("hidden=96", "lr=0.002")),
    ("higher learning rate", ("hidden=32", "lr=0.02")),
    ("no hidden units", ("hidden=0", "lr=0.002")),
)
NO_NOTES = {"notify": False}  # they cover the page
# what stands in the page of this machine, and what the pictures say instead
ELSEWHERE = [[sys.prefix, "~/.venv"], [f" on {socket.gethostname()}", " on workstation"]]
ANONYMOUS = """words => {
  const all = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (all.nextNode()) {
    for (const [here, there] of words) {
      if (all.currentNode.data.includes(here)) all.currentNode.data = all.currentNode.data.replaceAll(here, there);
    }
  }
}"""
VIEW = ".jp-Notebook .mlr-live"


def seed(folder: Path) -> None:
    """Submit the runs that came before, and wait for them; print the id of each by its name."""
    from jupyter_mlrun import settings
    from jupyter_mlrun.sdk.submit import Request, submit

    config = settings.load()
    config.max_concurrent = 4
    made = {}
    for name, parameters in BEFORE:
        made[name] = submit(
            Request(
                experiment="digits", cwd=str(folder), notebook="digits.ipynb", cell=CELL, source=str(folder), name=name,
                parameters=parameters, tags=("data=digits",),
            ),
            config,
        )  # fmt: skip
    for run in made.values():
        run.wait_for_completion(raise_on_error=False)
    print("\n" + json.dumps({name: run.id for name, run in made.items()}))


def keep(page: Page, name: str) -> None:
    """One picture, with few colours; where this machine keeps things is nobody's business."""
    page.evaluate(ANONYMOUS, ELSEWHERE)
    data = page.screenshot()
    path = IMAGES / f"{name}.png"
    path.write_bytes(data)
    with Image.open(path) as made:
        few = made.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path.relative_to(conftest.ROOT)}: {size // 1000} kB")
    if size > MOST_BYTES:
        sys.exit(f"{path.name} has more than {MOST_BYTES} bytes: fewer colours, or less of the page")


def themed(lab: conftest.Lab, theme: str) -> None:
    lab.execute("apputils:change-theme", theme=THEMES[theme])
    lab.page.locator(f"body[data-jp-theme-light={'true' if theme == 'light' else 'false'}]").wait_for(state="attached")
    lab.page.locator("#jupyterlab-splash").wait_for(state="detached")
    lab.page.mouse.move(1, 1)
    lab.page.wait_for_timeout(700)  # colours fade over


def pictures(lab: conftest.Lab, runs: dict[str, str]) -> None:
    """All of them, as a user comes by."""
    page = lab.page
    lab.open("digits.ipynb")
    lab.execute("jupyter-mlrun:show-runs")
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    for n in (0, 1):
        cells.nth(n).locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
    view = page.locator(VIEW)
    expect(view.locator(".row", has_text="epoch 20")).to_be_visible(timeout=60 * SECONDS)
    for theme in THEMES:
        themed(lab, theme)
        cells.nth(1).evaluate("cell => cell.scrollIntoView({block: 'start'})")
        keep(page, f"notebook-{theme}")
    expect(view.locator(".pill")).to_have_text("Completed", timeout=90 * SECONDS)
    document(lab, runs)
    beside(lab, runs)


def document(lab: conftest.Lab, runs: dict[str, str]) -> None:
    lab.execute("application:toggle-left-area")
    lab.execute("jupyter-mlrun:open-run", run=runs["baseline"])
    shown = visible(lab)
    expect(shown.locator(".part-overview")).to_contain_text("Parameters")
    for theme in THEMES:
        themed(lab, theme)
        keep(lab.page, f"run-{theme}")
    lab.execute("jupyter-mlrun:open-run", run=runs["no hidden units"])
    expect(visible(lab).locator(".end")).to_contain_text("ValueError")
    themed(lab, "light")
    keep(lab.page, "failed-light")


def beside(lab: conftest.Lab, runs: dict[str, str]) -> None:
    three = [runs[name] for name in ("baseline", "more hidden units", "higher learning rate")]
    lab.execute("jupyter-mlrun:compare", runs=three)
    expect(visible(lab).locator(".lines-grid canvas").nth(3)).to_be_visible(timeout=30 * SECONDS)
    for theme in THEMES:
        themed(lab, theme)
        keep(lab.page, f"compare-{theme}")


def visible(lab: conftest.Lab) -> Locator:
    return lab.page.locator("#jp-main-dock-panel .jp-mlrun-document:visible")


def main() -> None:
    """Serve, seed, and take them."""
    os.environ |= {"LOGNAME": "ann", "USER": "ann"}  # nobody's name
    IMAGES.mkdir(exist_ok=True)
    expect.set_options(timeout=30 * SECONDS)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        base = Path(folder)
        notebooks, home = conftest.folders(base)
        ELSEWHERE.append([str(base), "~"])
        (base / "settings_dir/jupyter_mlrun").mkdir(parents=True)
        (base / "settings_dir/jupyter_mlrun/plugin.jupyterlab-settings").write_text(json.dumps(NO_NOTES))
        (notebooks / "training.py").write_text(TRAINING)
        (notebooks / "digits.ipynb").write_text(notebook("%load_ext jupyter_mlrun", LIVE))
        port, token = free_port(), secrets.token_hex(16)
        sign = f"http://127.0.0.1:{port}/"
        with conftest.serving(conftest.command(port, token, notebooks), base, home, sign) as process:
            seeding = [sys.executable, "-m", "tests.browser.pictures", "seed", str(notebooks)]
            env = conftest.environment(base, home)
            made = subprocess.run(seeding, env=env, cwd=conftest.ROOT, stdout=subprocess.PIPE, text=True, check=True)
            server = conftest.Server(sign[:-1], token, notebooks, home, base / "server.log", process.pid)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=conftest.chromium(), args=conftest.CHROMIUM_FLAGS)
                lab = conftest.Lab(browser.new_page(viewport={"width": 1280, "height": 860}), server)
                try:
                    pictures(lab, json.loads(made.stdout.splitlines()[-1]))
                except BaseException:
                    lab.screenshot("failed-pictures")
                    raise
                finally:
                    browser.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["seed"]:
        seed(Path(sys.argv[2]))
    else:
        main()
