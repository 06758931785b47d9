"""Makes the runs of test_run_page.py, in the home that the environment names; prints their ids as JSON.

``python seeded.py FOLDER``: the project is written to FOLDER.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from jupyter_mlrun import settings
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.sdk.submit import Request, submit

HOSTILE = "<img src=x onerror=window.pwned=1>"
TRAIN = """\
import argparse, json, struct, zlib
from pathlib import Path
from jupyter_mlrun import log
from noise import noise

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
lr = parser.parse_args().lr
for step in range(50):
    log("loss", 1 / (1 + lr * step) + noise(step), step=step)
    log("accuracy", step / 50, step=step)
    print("step", step)
log("note", "a text")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


outputs = Path("outputs")
(outputs / "model").mkdir(parents=True)
rows = b"".join(b"\\0" + bytes(v for x in range(160) for v in (x, 2 * y, 120)) for y in range(90))
header = struct.pack(">IIBBBBB", 160, 90, 8, 2, 0, 0, 0)
png = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
(outputs / "plot.png").write_bytes(b"\\x89PNG\\r\\n\\x1a\\n" + png)
(outputs / "result.json").write_text(json.dumps({"best": {"epoch": [1, 2, 3]}}))
(outputs / "notes.txt").write_text("hello\\nworld\\n")
(outputs / "model/weights.bin").write_bytes(b"\\0" * 5000)
"""
FAILS = """\
def ratio(x):
    total = 10
    return total / x

print("about to fail")
print(ratio(0))
"""
LONG = """\
import time
from jupyter_mlrun import log
for step in range(100_000):
    log("loss", 1 / (1 + step), step=step)
    print("line", step, flush=True)
    time.sleep(0.05)
"""
EVIL = f"""\
import os
from jupyter_mlrun import log
hostile = {HOSTILE!r}
for step in range(5):
    log(hostile, step)
    log("</script><script>window.pwned=2</script>", step * step)
print(hostile)
print("\\x1b]8;;javascript:window.pwned=3\\x07link\\x1b]8;;\\x07")
os.makedirs("outputs", exist_ok=True)
for name in (hostile + ".txt", "page.html", "fake.png"):
    with open("outputs/" + name, "w") as file:
        file.write("<script>window.pwned=4</script>")
with open("outputs/picture.svg", "w") as file:
    file.write("<svg xmlns='http://www.w3.org/2000/svg' onload='window.pwned=5'/>")
"""


def main(folder: Path) -> None:
    """Submit them all, and wait for those that end."""
    folder.mkdir()
    config = settings.load()
    config.max_concurrent = 4

    def go(**more: Any) -> Run:
        return submit(Request(**{"experiment": "pages", "cwd": str(folder), "notebook": "train.ipynb", **more}), config)

    script = {"script": str(folder / "train.py"), "source": str(folder)}
    (folder / "train.py").write_text(TRAIN)
    (folder / "noise.py").write_text("def noise(step):\n    return 0.01 * (step % 3)\n")
    (folder / "README.md").write_text("# A project\n")
    first = go(**script, parameters=("lr=0.1",), name="baseline", tags=("team=vision",))
    (folder / "noise.py").write_text("def noise(step):\n    return 0.0\n")
    (folder / "README.md").unlink()
    runs = {
        "first": first,
        "second": go(**script, parameters=("lr=0.5",), name="faster"),
        "failed": go(cell=FAILS, name="fails"),
        "hostile": go(cell=EVIL, name=HOSTILE, tags=(f"evil={HOSTILE}",)),
        "ranks": go(cell='import os\nprint("I am rank", os.environ["RANK"])\n', procs=2, name="two ranks"),
        "child": go(cell='print("a child")', parent=first.id, name="child"),
        "long": go(cell=LONG, name="long one"),
    }
    for name, run in runs.items():
        if name != "long":
            run.wait_for_completion(raise_on_error=False)
    sys.stdout.write("\n" + json.dumps({name: run.id for name, run in runs.items()}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
