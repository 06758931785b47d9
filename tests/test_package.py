from __future__ import annotations

import atexit
import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from jupyter_mlrun.brought import MAX_BYTES
from jupyter_mlrun.errors import BadInput, CellError
from jupyter_mlrun.package import Package, package_cell
from tests.support import PATIENCE

Namespace = dict[str, Any]
Notebook = Callable[..., Namespace]


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    """Runs cells in a real IPython shell; returns its namespace."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / ".ipython"))
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    make_shell: Any = InteractiveShell  # IPython has no annotations here
    shell = make_shell(config=Config({"HistoryManager": {"enabled": False}}))

    def run_cells(*cells: str) -> Namespace:
        for cell in cells:
            shell.run_cell(cell, store_history=True).raise_error()
        return dict(shell.user_ns)

    yield run_cells
    atexit.unregister(shell.atexit_operations)
    shell.atexit_operations()


def execute(package: Package, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """What a run does: the files in a folder, and Python on the entry script."""
    folder.mkdir(exist_ok=True)
    for name, content in package.files.items():
        (folder / name).write_bytes(content)
    command = [sys.executable, package.script, *package.arguments]
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, encoding="utf-8", timeout=PATIENCE,
        env={**kept, "PYTHONUTF8": "1", **env},
    )  # fmt: skip


def output(package: Package, folder: Path, **env: str) -> str:
    done = execute(package, folder, **env)
    assert done.returncode == 0, done.stderr
    return done.stdout


CELLS = [
    ("print(1)", "1\n"),
    ("", ""),
    ("# nothing\n", ""),
    ("print('ü\u2028é')", "ü\u2028é\n"),
    ("x = 'a\u2028b'\nprint(len(x))", "3\n"),
    ("print('a')\r\nprint('b')\r\n", "a\nb\n"),
    ("s = '''a\r\nb'''\nprint(len(s))", "3\n"),
    ("print('a')\rprint('b')", "a\nb\n"),
    ("\ufeffprint(1)", "1\n"),
    ("print('\U0001f600', 'é')", "\U0001f600 é\n"),
    ("if 1:\n\tprint('tab')", "tab\n"),
    ("  x = 1\n  print(x)", "1\n"),
    ("\n\n    print(2)\n", "2\n"),
    ("x = 1\x0c\nprint(x)", "1\n"),
    ("if __name__ == '__main__':\n    print('main')", "main\n"),
    ("print(__name__)", "__main__\n"),
    ("from __future__ import annotations\ndef f(a: T): pass\nprint(f.__annotations__)", "{'a': 'T'}\n"),
    ("import os\nprint(os.path.basename(__file__))", "cell.py\n"),
    ("import inspect\ndef f():\n    return 1\nprint(inspect.getsource(f))", "def f():\n    return 1\n\n"),
    ("import inspect\nclass A:\n    x = 1\nprint(inspect.getsource(A))", "class A:\n    x = 1\n\n"),
    ("import pickle\nclass A: x = 1\nprint(pickle.loads(pickle.dumps(A())).x)", "1\n"),
    ("from dataclasses import dataclass\n@dataclass\nclass P:\n  x: int = 1\nprint(P())", "P(x=1)\n"),
    ("import enum\nclass E(enum.Enum):\n  A = 1\nprint(E.A)", "E.A\n"),
    ("def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)\nprint(fib(9))", "34\n"),
    ("import asyncio\nawait asyncio.sleep(0)\nprint('awaited')", "awaited\n"),
    ("async def f(): return 3\nx = await f()\nprint(x, [await f() for _ in 'ab'])", "3 [3, 3]\n"),
    ("async def g():\n  yield 1\nasync for i in g():\n  print(i)", "1\n"),
    (
        "from contextlib import asynccontextmanager as m\n@m\nasync def c(): yield 5\nasync with c() as v:\n  print(v)",
        "5\n",
    ),
    ("async def f(): return __name__\nif __name__ == '__main__':\n  print(await f())", "__main__\n"),
    # shell commands
    ("!echo hello", "hello\n"),
    ("print('before')\n!echo middle\nprint('after')", "before\nmiddle\nafter\n"),
    ("!false\nprint(_exit_code)", "1\n"),
    ("x = !printf 'a\\nb'\nprint(x)", "['a', 'b']\n"),
    ("x = !echo err >&2; exit 3\nprint(x)", "['err']\n"),
    ("n = 3\n!echo {n} {n + 1} $n", "3 4 3\n"),
    ("n = 3.14159\n!echo {n:.2f} '$n'", "3.14 $n\n"),
    ("for i in range(2):\n    !echo $i", "0\n1\n"),
    ("def f(a):\n    !echo {a}\nf('x y')", "x y\n"),
    ("!printf '%s' a | tr a b", "b"),
    ("!echo $HOME_OF_NOBODY-", "-\n"),
    ("!echo 'a b' | awk '{print $2}'", "b\n"),
    ("!echo 'a b' | awk \"{print}\"", "a b\n"),
    ("!echo {1} {{x}} {print}", "{1} {{x}} {print}\n"),
    ("x = 1\n!echo {x} {{x}}", "1 {x}\n"),
    ("!echo a \\\n  b\nprint('next')", "a b\nnext\n"),
    ("if True:\n    if True:\n        !echo deep", "deep\n"),
    ("try:\n    !echo x\nfinally:\n    print('y')", "x\ny\n"),
    ("q = '\"'\n!echo '{q}'", '"\n'),
    ("!echo \"it's\" 0777 1a 'ü' # no", "it's 0777 1a ü\n"),
    ("!echo $((1 + 2)) ; echo '\"'", '3\n"\n'),
    # magics left out
    ("%matplotlib inline\nprint(1)", "1\n"),
    ("%load_ext autoreload\n%autoreload 2\nprint(1)", "1\n"),
    ("%config InlineBackend.figure_format = 'svg'\nprint(1)", "1\n"),
    ("if 1:\n    %matplotlib inline\nprint(2)", "2\n"),
    # what looks like IPython's syntax and is not
    ("s = '''\n!ls\n%cd x\n?\n'''\nprint(s)", "\n!ls\n%cd x\n?\n\n"),
    ("s = '''\n!ls\n'''\n!echo y\nprint(s)", "y\n\n!ls\n\n"),
    ("a = 7\nb = (a\n%4)\nprint(b)", "3\n"),
    ("a = 7\nb = a \\\n  % 4\nprint(b)", "3\n"),
    ("a = 7\nb = [a\n!= 3]\nprint(b)", "[True]\n"),
    ("# what?\nprint('why?')  # !no", "why?\n"),
    ("!echo 1\ns = '''\n%%time\n!x\n'''\nprint(len(s))", "1\n11\n"),
    ("x = 5\n!echo f\nprint(f'{x!r}')", "f\n5\n"),
    # names that need care
    ("_ = 1\nfor _ in range(2): pass\nprint(_)", "1\n"),
    ("run = log = submit = 1\nprint(run)", "1\n"),
    ("try:\n    get_ipython()\nexcept NameError:\n    print('no kernel')", "no kernel\n"),
    ("print(*(name for name in dir() if name[0] != '_'))", "\n"),
    ("import sys\nprint(sys.argv[1:])", "[]\n"),
    ("exec('z = 1')\nprint(z)", "1\n"),
    ("from math import *\nprint(floor(pi))", "3\n"),
    ("print(1); exit()", "1\n"),
]


@pytest.mark.parametrize(("cell", "printed"), CELLS)
def test_a_cell_runs_as_a_script(cell: str, printed: str, tmp_path: Path) -> None:
    package = package_cell(cell, cwd=tmp_path)
    assert output(package, tmp_path) == printed
    assert package.needs_await == ("cell_main.py" in package.files)


def test_the_table_of_cells_is_large() -> None:
    assert len(CELLS) >= 60


@pytest.mark.parametrize("parameters", [(), ("p=1",)])
@pytest.mark.parametrize(
    ("cell", "line"),
    [
        ("p = 1\n\n1 / 0", 3),
        ("p\n!true\n%matplotlib inline\n!echo \\\n a\n1 / 0", 6),
        ("p\r\nx = '''a\r\n\r\n'''\r\n1 / 0", 5),
        ("s = 'a\u2028b'\np\n1 / 0", 3),
        ("p = [\n 1,\n 2]\n1 / 0", 4),
        ("p\nimport asyncio\nawait asyncio.sleep(0)\n1 / 0", 4),
        ("p\ndef f():\n\n  1 / 0\nf()", 4),
        ("\n\n   p\n   1 / 0", 4),
    ],
)
def test_tracebacks_show_the_lines_of_the_cell(
    cell: str, line: int, parameters: tuple[str, ...], tmp_path: Path
) -> None:
    if not parameters and "p = " not in cell:
        cell = re.sub(r"(?m)^(\s*)p(?=\r?$)", r"\1str", cell, count=1)
    done = execute(package_cell(cell, parameters=parameters), tmp_path)
    assert done.returncode == 1
    places = re.findall(r'File ".*?cell\.py", line (\d+).*\n\s+(.*)', done.stderr)
    assert places[-1] == (str(line), "1 / 0")
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize(
    ("cell", "line", "says"),
    [
        ("x = = 1", 1, "syntax error: invalid syntax\n    x = = 1\n        ^"),
        ("x = 1\ndef f(:\n  pass", 2, "    def f(:\n          ^"),
        ("print('a'", 1, "'(' was never closed"),
        ("if 1:\nx = 1", 2, "expected an indented block"),
        ("if 1:\n\tx = 1\n        y = 2", 3, "inconsistent use of tabs"),
        ("\nreturn 3", 2, "'return' outside function"),
        ("x = 1\nyield x", 2, "'yield' outside function"),
        ("break", 1, "'break' outside loop"),
        ("def f():\n  await x", 2, "'await' outside async function"),
        ("x = 1\nfrom __future__ import annotations", 2, "beginning of the file"),
        ("!ls\nx = = 1", 2, "    x = = 1\n        ^"),
        ("x = '\n", 1, "unterminated string"),
        ("\tü = = 1\n", 1, "= = 1"),
        ("x" * 10 + " " + "y", 1, "invalid syntax"),
        (">>> print(1)", 1, "remove the prompts"),
        ("pip install torch", 1, "--env"),
        ("x = 1\n" + "(" * 500 + ")" * 500, 2, "too many nested"),
        ("# a\n# -*- coding: latin-1 -*-\nx = 'é'", 1, "coding comment"),
        ("a\0b", 1, "a NUL character at column 2"),
        ("x = 1\ny = '\ud800'", 2, "lone surrogate (U+D800) at column 6"),
        # IPython's syntax that a run cannot have
        ("%%time\nx = 1", 1, "'%%time'"),
        ("%%bash\nls", 1, "start each command with '!'"),
        ("x = 1\n%%bash\nls", 2, "'%%bash'"),
        ("x = 1\n%pip install torch", 2, "--env requirements.txt"),
        ("%conda install torch", 1, "--env"),
        ("%env A=1", 1, "--env-var"),
        ("x = %env A", 1, "--env-var"),
        ("%cd data", 1, "-s"),
        ("if 1:\n    %cd data", 2, "os.chdir"),
        ("%time f()", 1, "time.perf_counter"),
        ("x = %time f()", 1, "'%time'"),
        ("%run a.py", 1, "%submit FILE.py"),
        ("%whatever a", 1, "'%whatever'"),
        ("%submit a.py", 1, "from the notebook"),
        ("print?", 1, "help"),
        ("print??", 1, "help"),
        ("?print", 1, "help"),
        ("%matplotlib?", 1, "help"),
        ("!!ls", 1, "'!!'"),
        (",f a b", 1, "without brackets"),
        ("/f a", 1, "without brackets"),
        ("s = '''\n%cd x\n'''\n%cd y", 4, "'%cd'"),
        # names
        ("x = 1\nprint(nowhere)", 2, "neither in the cell nor in the notebook"),
        ("y = 1\nprint(x)\nx = y", 2, "'x' is read before the cell sets it"),
        ("primt(1)", 1, "did you mean 'print'?"),
        ("a\nb\n", 1, "the same goes for 'b' (line 2)"),
        ("\ndisplay(1)", 2, "use print()"),
        ("get_ipython().system('ls')", 1, "belongs to the notebook"),
        ("print(Out[1])", 1, "belongs to the notebook"),
    ],
)
def test_what_cannot_run_is_refused_at_its_line(cell: str, line: int, says: str) -> None:
    with pytest.raises(CellError) as caught:
        package_cell(cell)
    assert says in str(caught.value)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"cell line {line}: ")


def test_left_out_lines_are_told() -> None:
    package = package_cell("x = 1\n%matplotlib inline\n!pip install torch\n!awk '{print}' f")
    assert [warning.partition(":")[0] for warning in package.warnings] == [f"cell line {at}" for at in (2, 3, 4)]
    assert "'%matplotlib inline' is left out" in package.warnings[0]
    assert "--env" in package.warnings[1]
    assert "left to the shell" in package.warnings[2]


def test_bytes_of_a_plain_cell_are_kept() -> None:
    cell = "\tx = 1  \n\n\n#\u2028\ny='\x0b'\x0c\n".lstrip("\t") + "# no newline at the end"
    assert package_cell(cell).files == {"cell.py": cell.encode()}


def test_a_large_cell() -> None:
    cell = f"x = {'a' * 4_900_000!r}\n" + "y = 1\n" * 20_000 + "print(len(x))\n"
    assert len(cell) > 5_000_000
    assert package_cell(cell, parameters=["z=1"]).files["cell.py"] == cell.encode()


@pytest.mark.parametrize(
    ("present", "cell", "script", "names"),
    [
        (["cell.py"], "p", "cell_main.py", {"cell_1.py", "cell_main.py"}),
        (["CELL.py", "cell_1.py", "cell_main.py"], "p", "cell_main_1.py", {"cell_2.py", "cell_main_1.py"}),
        (["lib/cell.py"], "p", "cell_main.py", {"cell.py", "cell_main.py"}),
        ([], "import cell\np", "cell_main.py", {"cell_1.py", "cell_main.py"}),
        (["cell.py"], "p = 2", "cell_1.py", {"cell_1.py"}),
    ],
)
def test_generated_files_hide_nothing(present: list[str], cell: str, script: str, names: set[str]) -> None:
    package = package_cell(cell, parameters=["p=1"], present=present)
    assert package.script == script
    assert set(package.files) == names


def test_the_cell_is_found_from_another_working_folder(tmp_path: Path) -> None:
    cell = "import os\nos.chdir('/')\ndef f(): return p\nimport inspect\nprint(f(), inspect.getsource(f))"
    package = package_cell(cell, parameters=["p='ü'"])
    assert output(package, tmp_path / "a b'c") == "ü def f(): return p\n\n"


def test_arguments_reach_the_cell(tmp_path: Path) -> None:
    package = package_cell("import sys\nprint(sys.argv[1:], p)", parameters=["p=1"], arguments=["--x", "$(id)", ""])
    assert output(package, tmp_path) == "['--x', '$(id)', ''] 1\n"


@pytest.mark.parametrize("name", ["open", "compile", "exec", "eval", "globals", "_exit_code"])
def test_parameters_may_have_names_of_builtins(name: str, tmp_path: Path) -> None:
    for cell in (f"print({name})", f"import asyncio\nawait asyncio.sleep(0)\nprint({name})"):
        assert output(package_cell(cell, parameters=[f"{name}=1"]), tmp_path) == "1\n"


SPAWN = """
import multiprocessing, os
class Job:
    def __init__(self, n): self.n = n
def work(job): return (type(job).__name__, job.n * factor, helper(job.n), os.path.basename(__file__))
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(work, [Job(2), Job(3)]))
"""


def test_spawned_processes_have_what_stands_before_the_cell(notebook: Notebook, tmp_path: Path) -> None:
    space = notebook("offset = 10", "def helper(n):\n    return n + offset")
    package = package_cell(SPAWN, parameters=["factor=5"], use=["helper"], namespace=space)
    wanted = "[('Job', 10, 12, 'cell_main.py'), ('Job', 15, 13, 'cell_main.py')]\n"
    assert output(package, tmp_path) == wanted


NOTEBOOK_TEXT = """
import math, json as j, os.path, xml
import xml.dom.minidom
from collections import OrderedDict as OD, Counter
import functools, io, socket, sys, threading
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
# %%
rate = 0.5
names = ['a', {'k': (1, None, True)}]
nan = float('nan')
text = '"; import os\\n{x}\\'\\u2028'
# %%
def plain(n):
    '''doc'''
    return n * rate
# %%
def outer(n):
    return plain(n) + math.floor(n) + inner(n)
def inner(n):
    return 0 if n < 1 else outer(n - 1)
# %%
def twice(f):
    import functools
    @functools.wraps(f)
    def w(*a): return f(*a) * 2
    return w
# %%
@twice
def decorated(n):
    return n + 1
# %%
REGISTRY = {}
def register(f):
    REGISTRY[f.__name__] = 1
    return f
@register
def handler(): return list(REGISTRY)
# %%
class Base:
    def hi(self): return type(self).__name__
class Child(Base):
    size = rate
    def hi(self): return super().hi() + str(self.size)
# %%
@dataclass
class Point:
    x: int
    y: list = field(default_factory=list)
# %%
class Color(Enum):
    RED = 1
    BLUE = 2
# %%
@lru_cache(maxsize=None)
def cached(n): return n * 3
# %%
if True:
    def indented(n):
        s = '''
    kept
'''
        return s * n
# %%
class Empty(Exception): pass
# %%
alias = plain
sq = lambda n: n * n
def make(k):
    def closed(n): return n + k
    return closed
closed = make(3)
# %%
lock = threading.Lock()
method = [].append
bound = Base().hi
gen = (i for i in 'ab')
plain2 = twice(plain)
def wrapped(n): return n
wrapped = twice(wrapped)
# %%
async def later(n): return n * rate
# %%
class Meta(type): pass
class WithMeta(metaclass=Meta):
    @property
    def p(self): return rate
    @staticmethod
    def s(): return 1
# %%
def kernel(): display(1)
def lost(): return nothing_has_this
# %%
def uses_max(a): return max(a)
def sum(a): return 'mine'
# %%
from __future__ import annotations
def annotated(a: NotThere) -> AlsoNot: return a
# %%
class Plain:
    x = 1
    y: int = 2
class Node:
    def next(self): return Node()
"""
NOTEBOOK = NOTEBOOK_TEXT.split("# %%\n")


@pytest.mark.parametrize(
    ("use", "cell", "printed", "brought"),
    [
        ("rate", "print(rate)", "0.5\n", "rate"),
        ("names,nan", "print(names, nan)", "['a', {'k': (1, None, True)}] nan\n", "nan names"),
        ("text", "print(ascii(text))", ascii("\"; import os\n{x}'\u2028") + "\n", "text"),
        ("math,j", "print(math.floor(1.5), j.dumps(1))", "1 1\n", "j math"),
        ("os", "print(os.path.basename('a/b'))", "b\n", "os"),
        ("xml", "print(xml.dom.minidom.__name__)", "xml.dom.minidom\n", "xml"),
        ("OD,Counter", "print(OD(a=1)['a'], Counter('aa'))", "1 Counter({'a': 2})\n", "Counter OD"),
        ("plain", "print(plain(4), plain.__doc__)", "2.0 doc\n", "plain rate"),
        ("outer", "print(outer(2))", "4.5\n", "inner math outer plain rate"),
        ("decorated", "print(decorated(1))", "4\n", "decorated twice"),
        ("handler", "print(handler())", "['handler']\n", "REGISTRY handler register"),
        ("Child", "print(Child().hi())", "Child0.5\n", "Base Child rate"),
        ("Point", "print(Point(1))", "Point(x=1, y=[])\n", "Point dataclass field"),
        ("Color", "print(Color.RED.value)", "1\n", "Color Enum"),
        ("cached", "print(cached(2))", "6\n", "cached lru_cache"),
        ("indented", "print(indented(1))", "\n    kept\n\n", "indented"),
        ("Empty", "print(issubclass(Empty, Exception))", "True\n", "Empty"),
        ("alias", "print(alias(2))", "1.0\n", "alias plain rate"),
        ("later", "print(await later(2))", "1.0\n", "later rate"),
        ("WithMeta", "print(WithMeta().p, WithMeta.s(), type(WithMeta))", "0.5 1 <class '__main__.Meta'>\n",
         "Meta WithMeta rate"),
        ("uses_max", "print(uses_max([1, 2]))", "2\n", "uses_max"),
        ("sum", "print(sum([1]))", "mine\n", "sum"),
        ("annotated", "print(annotated(1))", "1\n", "annotated"),
        ("Plain,Node", "print(Plain.x, Plain().y, Node().next() is None)", "1 2 False\n", "Node Plain"),
        ("plain, math", "import inspect\nprint(inspect.getsource(plain), math.pi > 3)",
         "def plain(n):\n    '''doc'''\n    return n * rate\n True\n", "math plain rate"),
    ],
)  # fmt: skip
def test_names_are_brought_with_all_they_need(
    use: str, cell: str, printed: str, brought: str, notebook: Notebook, tmp_path: Path
) -> None:
    space = notebook(*NOTEBOOK)
    package = package_cell(cell, use=[use], namespace=space)
    assert output(package, tmp_path) == printed
    assert sorted(one.name for one in package.brought) == sorted(brought.split())
    assert all(one.how for one in package.brought)


@pytest.mark.parametrize(
    ("use", "says"),
    [
        ("sq", "lambda"),
        ("closed", "made inside another function"),
        ("lock", "lock"),
        ("method", "not plain data"),
        ("bound", "method of a Base"),
        ("gen", "generator"),
        ("plain2", "wrapped after it was defined"),
        ("wrapped", "wrapped after it was defined"),
        ("kernel", "'display' (needed by 'kernel')"),
        ("rat", "did you mean 'rate'?"),
    ],
)
def test_what_cannot_be_brought_is_refused_with_a_cure(use: str, says: str, notebook: Notebook) -> None:
    with pytest.raises(BadInput) as caught:
        package_cell("print(1)", use=[use], namespace=notebook(*NOTEBOOK))
    assert says in str(caught.value)
    assert caught.value.hint


def test_what_was_brought_is_told(notebook: Notebook) -> None:
    package = package_cell("outer(1)", use=["outer"], namespace=notebook(*NOTEBOOK))
    told = {one.name: (one.kind, one.how) for one in package.brought}
    assert told["rate"] == ("data", "by value, 3 bytes")
    assert told["math"] == ("module", "import math")
    assert told["plain"] == ("function", "by source, 3 lines")


def test_a_definition_brought_twice_gives_the_same_script(notebook: Notebook) -> None:
    space = notebook(*NOTEBOOK)
    both = [package_cell("outer, Child", use=[use], namespace=space).files for use in ("outer,Child", "Child,outer")]
    assert both[0] == both[1]


def test_a_parameter_stands_for_a_brought_value(notebook: Notebook, tmp_path: Path) -> None:
    package = package_cell("print(plain(4))", use=["plain"], parameters=["rate=2"], namespace=notebook(*NOTEBOOK))
    assert [one.name for one in package.brought] == ["plain"]
    assert output(package, tmp_path) == "8\n"
    with pytest.raises(BadInput, match="both by -p and by --use"):
        package_cell("rate", use=["rate"], parameters=["rate=1"], namespace=notebook())


def test_a_redefined_function_is_brought_as_it_is_now(notebook: Notebook, tmp_path: Path) -> None:
    space = notebook("def f(): return 1", "def f(): return 2", "class A:\n  x = 1", "class A:\n  y = 2")
    assert output(package_cell("print(f(), A.y)", use=["f,A"], namespace=space), tmp_path) == "2 2\n"


def test_a_source_that_changed_since_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "script.py"
    file.write_text("def f():\n    return 1\nclass A:\n    def m(self):\n        return 1\n")
    space: Namespace = {"__name__": "__main__"}
    exec(compile(file.read_text(), str(file), "exec"), space)
    assert package_cell("f, A", use=["f,A"], namespace=space).brought
    file.write_text("def f():\n    return 222\nclass A:\n    def m(self):\n        return 222\n")
    for use in ("f", "A"):
        with pytest.raises(CellError, match="has changed since"):
            package_cell(use, use=[use], namespace=space)
    file.unlink()
    for use in ("f", "A"):
        with pytest.raises(CellError, match="not available"):
            package_cell(use, use=[use], namespace=space)


def test_the_cell_itself_may_define_what_a_brought_function_calls(notebook: Notebook, tmp_path: Path) -> None:
    space = notebook("lock = __import__('threading').Lock()\ndef f(): return lock")
    assert output(package_cell("lock = 5\nprint(f())", use=["f"], namespace=space), tmp_path) == "5\n"
    with pytest.raises(CellError, match=r"'lock' \(needed by 'f'\)"):
        package_cell("print(f())", use=["f"], namespace=space)


def test_a_brought_function_that_needs_what_nobody_has_is_a_warning(notebook: Notebook) -> None:
    (warning,) = package_cell("lost", use=["lost"], namespace=notebook(*NOTEBOOK)).warnings
    assert "'nothing_has_this' (needed by 'lost')" in warning


def test_data_has_a_size_limit(notebook: Notebook) -> None:
    for value in ("x" * MAX_BYTES, list(range(MAX_BYTES)), list(range(MAX_BYTES + 1))):
        with pytest.raises(CellError) as caught:
            package_cell("big", use=["big"], namespace={"big": value})
        assert "1,000,000" in str(caught.value)
        assert "submit with -s" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"x", "bytes"),
        ({1, 2}, "set"),
        ([{"a": object()}], "[0]['a'] is an object"),
        (Path("x"), "PosixPath"),
        (range(3), "range"),
    ],
)
def test_data_that_is_not_plain_is_refused(value: object, says: str) -> None:
    with pytest.raises(CellError) as caught:
        package_cell("x", use=["x"], namespace={"x": value})
    assert says in str(caught.value)


def test_numpy_values_are_named() -> None:
    numpy = pytest.importorskip("numpy")
    space = {"a": numpy.zeros(3), "s": numpy.float64(1), "np": numpy, "sin": numpy.sin, "array": numpy.array}
    for name in ("a", "s"):
        with pytest.raises(CellError, match="numpy"):
            package_cell("x = 1", use=[name], namespace=space)
    package = package_cell("np, sin, array", use=["np,sin,array"], namespace=space)
    assert [one.how for one in package.brought] == [
        "from numpy import array",
        "import numpy as np",
        "from numpy import sin",
    ]


def test_missing_names_say_how_to_bring_them(notebook: Notebook) -> None:
    space = notebook(*NOTEBOOK)
    with pytest.raises(CellError) as caught:
        package_cell("x = 1\nprint(plain(rate), j.dumps)", namespace=space)
    assert caught.value.line == 2
    assert caught.value.hint == "--use plain,rate,j"
    with pytest.raises(CellError) as caught:
        package_cell("lock", namespace=space)
    assert "--use cannot bring 'lock'" in str(caught.value.hint)
    with pytest.raises(CellError) as caught:
        package_cell("rat", namespace=space)
    assert caught.value.hint == "did you mean 'rate'?"


def test_a_name_that_the_notebook_redefined_is_a_warning(notebook: Notebook) -> None:
    (warning,) = package_cell("print(sum([1]), open)", namespace=notebook("def sum(a): return 1")).warnings
    assert "--use sum" in warning


@pytest.mark.parametrize("cell", ["exec('x = 1')\nprint(y)", "from math import *\ny", "globals()\ny"])
def test_where_analysis_is_not_sure_it_warns(cell: str) -> None:
    (warning,) = package_cell(cell).warnings
    assert "'y'" in warning


def test_conditional_names_are_a_warning() -> None:
    (warning,) = package_cell("import os\nif os.name == 'x':\n  a = 1\nprint(a)").warnings
    assert warning.startswith("cell line 3: 'a' may be unset")


def test_use_needs_a_notebook() -> None:
    with pytest.raises(BadInput, match="in a notebook only"):
        package_cell("x", use=["x"])


class TestLocalModules:
    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        (tmp_path / "helper_of_mine.py").write_text("raise SystemExit('never executed')")
        (tmp_path / "pack_of_mine").mkdir()
        (tmp_path / "pack_of_mine" / "__init__.py").write_text("")
        (tmp_path / "numpy").mkdir()
        monkeypatch.setattr(sys, "path", ["", *sys.path])
        return tmp_path

    @pytest.mark.parametrize(
        "line",
        [
            "import helper_of_mine as h",
            "from helper_of_mine import x",
            "import pack_of_mine.sub",
            "from pack_of_mine import y",
        ],
    )
    def test_a_module_beside_the_notebook_is_missing(self, line: str, folder: Path) -> None:
        with pytest.raises(CellError, match="is not in the snapshot") as caught:
            package_cell(f"import os\ndef f():\n    {line}", cwd=folder)
        assert caught.value.line == 3
        assert "-s ." in str(caught.value.hint)

    @pytest.mark.parametrize("present", ["helper_of_mine.py", "helper_of_mine/__init__.py", "helper_of_mine/x.py"])
    def test_in_the_snapshot_it_is_there(self, present: str, folder: Path) -> None:
        assert not package_cell("import helper_of_mine", cwd=folder, present=[present]).warnings

    def test_left_out_of_the_snapshot_the_cure_names_the_folder(self, folder: Path) -> None:
        with pytest.raises(CellError) as caught:
            package_cell("import helper_of_mine", cwd=folder, present=["a.py"], source=folder)
        assert str(folder) in str(caught.value.hint)

    def test_installed_modules_are_fine(self, folder: Path) -> None:
        cell = "import os, sys, pytest, traitlets.config, jupyter_mlrun, not_installed_anywhere_q"
        assert not package_cell(cell, cwd=folder).warnings

    def test_a_folder_with_the_name_of_a_package_is_no_module(self, folder: Path) -> None:
        pytest.importorskip("numpy")
        assert not package_cell("import numpy", cwd=folder).warnings

    def test_a_guarded_import_is_a_warning(self, folder: Path) -> None:
        (warning,) = package_cell("try:\n  import helper_of_mine\nexcept ImportError:\n  pass", cwd=folder).warnings
        assert warning.startswith("cell line 2: module 'helper_of_mine'")

    def test_a_cell_that_changes_the_path_is_a_warning(self, folder: Path) -> None:
        cell = "import sys\nsys.path.append('x')\nimport helper_of_mine"
        assert len(package_cell(cell, cwd=folder).warnings) == 1

    def test_a_folder_that_the_notebook_put_on_the_path(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
        elsewhere = tmp_path_factory.mktemp("elsewhere")
        with pytest.raises(CellError, match="not in the snapshot"):
            package_cell("import helper_of_mine", cwd=elsewhere)
        monkeypatch.setenv("PYTHONPATH", str(folder))
        assert not package_cell("import helper_of_mine", cwd=elsewhere).warnings

    def test_a_brought_module_is_checked_too(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(str(folder))
        module = importlib.import_module("pack_of_mine")
        with pytest.raises(CellError, match="--use pack_of_mine"):
            package_cell("pack_of_mine", use=["pack_of_mine"], namespace={"pack_of_mine": module}, cwd=folder)


def test_packaging_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    package_cell("open('PWN', 'w')\n!touch PWN\n", parameters=["x=__import__('os').system('touch PWN')"])
    assert list(here.iterdir()) == []


def test_the_package_can_be_told_as_json() -> None:
    package = package_cell("print(lr)", parameters=["lr=0.1"])
    parameters = {name: [one.text, one.value] for name, one in package.parameters.items()}
    assert json.loads(json.dumps(parameters)) == {"lr": ["0.1", 0.1]}


def test_many_threads_at_once(notebook: Notebook, recwarn: pytest.WarningsRecorder) -> None:
    space = notebook("def f(a): return a == '\\d'")
    cells = [f"x = {n}\nassert f('\\d') is not 1\n!echo {{x}}" for n in range(50)]
    with ThreadPoolExecutor(8) as pool:
        packages = list(pool.map(lambda cell: package_cell(cell, use=["f"], namespace=space), cells))
    assert [package.files["cell.py"].split(b"\n")[0] for package in packages] == [b"x = %d" % n for n in range(50)]
    assert not [one for one in recwarn if one.category is SyntaxWarning]
