from __future__ import annotations

import pytest

from jupyter_mlrun.cellnames import BUILTINS, Import, Names, analyse, attribute_chains
from jupyter_mlrun.celltext import clean, to_python


def names_of(cell: str) -> Names:
    plain = to_python(clean(cell))
    return analyse(plain.tree, plain.code)


@pytest.mark.parametrize(
    ("cell", "needs"),
    [
        ("x", {"x": 1}),
        ("x = 1\nx", {}),
        ("print(len([]), __name__, __file__, ValueError, exit)", {}),
        ("a.b.c(d[e])", {"a": 1, "d": 1, "e": 1}),
        ("f(\n  a,\n  b,\n)", {"f": 1, "a": 2, "b": 3}),
        # a name of the notebook that the cell then replaces
        ("x = x + 1", {"x": 1}),
        ("x += 1", {"x": 1}),
        ("df = df.dropna()\ndf = df.head()", {"df": 1}),
        ("a = 1; b = a; c = d; d = 2", {"d": 1}),
        ("for e in r:\n  model = step(model)", {"r": 1, "step": 2, "model": 2}),
        ("while n:\n  n = n - 1", {"n": 1}),
        ("with x as x: pass", {"x": 1}),
        ("x: T = x", {"T": 1, "x": 1}),
        ("if __name__ == '__main__':\n  x = x + 1", {"x": 2}),
        # not certain: the order of turns or branches decides
        ("for i in [1]:\n  if i: print(prev)\n  prev = i", {}),
        ("for i in [1]:\n  best = i if i else best", {}),
        ("if 1 > 0:\n  print(x)\nx = 1", {}),
        ("try:\n  x\nexcept NameError:\n  x = 1", {}),
        ("try:\n  x\nexcept:\n  pass", {}),
        ("try:\n  x\nexcept (OSError, Exception):\n  pass", {}),
        ("try:\n  x\nexcept OSError:\n  pass", {"x": 2}),
        # functions run later
        ("def f(): return x\nx = 1", {}),
        ("lambda: x\nx = 1", {}),
        ("def f(): return x", {"x": 1}),
        ("def f(a, b=c, *d, e=g, **h): return a, b, d, e, h", {"c": 1, "g": 1}),
        ("def f():\n  def g(): return x\n  return g", {"x": 2}),
        ("def f():\n  x = 1\n  def g(): return x\n  return g", {}),
        ("def f():\n  global x\n  x = 1\nf()\nprint(x)", {}),
        ("def f(n): return f(n - 1)", {}),
        ("@d\ndef f(): pass", {"d": 1}),
        ("@f\ndef f(): pass", {"f": 1}),
        ("async def f():\n  async for a in b: await a", {"b": 2}),
        # comprehensions
        ("[i for i in r if i]", {"r": 1}),
        ("[i for i in r]\ni", {"r": 1, "i": 2}),
        ("{k: v for k, v in x.items() for _ in k}", {"x": 1}),
        ("[(y := i) for i in [1]]\ny", {}),
        ("def f():\n  return [x for i in [1]]", {"x": 2}),
        ("x = [x for i in [1]]", {"x": 1}),
        # classes
        ("class A(B, metaclass=M):\n  k = 1\n  j = k\n  def m(self): return k", {"B": 1, "M": 1, "k": 4}),
        ("class A:\n  k = k", {"k": 2}),
        ("class A:\n  def m(self): return __class__, super().m(), A", {}),
        ("class A:\n  a: int = q", {"q": 2}),
        # strings and patterns
        ("f'{u!r:{w}}'", {"u": 1, "w": 1}),
        ("'{u}'", {}),
        ("match v:\n  case [a, *b]: pass\n  case {'k': c, **d}: pass\n  case P(x=e): pass", {"v": 1, "P": 4}),
        # annotations: only what is evaluated
        ("from __future__ import annotations\ndef f(a: T) -> U: pass", {}),
        ("x: 'T' = 1", {}),
        # imports
        ("import a.b.c as d, e.f\nd, e", {}),
        ("import e.f\nf", {"f": 2}),
        ("from m import x as y\ny, x", {"x": 2}),
        # await
        ("await x", {"x": 1}),
        ("async with a as b:\n  [i async for i in b]", {"a": 1}),
        ("del x", {}),
        ("assert x, y", {"x": 1, "y": 1}),
        ("display(_)", {"display": 1, "_": 1}),
    ],
)
def test_needed_names(cell: str, needs: dict[str, int]) -> None:
    found = {name: line for name, line in names_of(cell).needed().items() if name not in BUILTINS}
    assert found == needs


@pytest.mark.parametrize(
    ("cell", "doubtful"),
    [
        ("if a:\n  x = 1\nx", {"x": 2}),
        ("if a:\n  x = 1\nelse:\n  x = 2\nx", {}),
        ("if a:\n  x = 1\nelif b:\n  x = 2\nx", {"x": 2}),
        ("if a:\n  x = 1\nelse:\n  raise E\nx", {}),
        ("import sys\nif a:\n  x = 1\nelse:\n  sys.exit(2)\nx", {}),
        ("if a:\n  x = 1\n  print(x)", {}),
        ("if __name__ == '__main__':\n  x = 1\nx", {}),
        ("for i in r:\n  x = i\nx, i", {}),
        ("while a:\n  x = 1\n  break\nx", {}),
        ("try:\n  import m\nexcept ImportError:\n  m = None\nm", {}),
        ("try:\n  x = 1\nexcept E:\n  pass\nx", {"x": 2}),
        ("try:\n  x = 1\nfinally:\n  y = 1\nx, y", {}),
        ("with a as b:\n  x = 1\nx, b", {}),
        ("match v:\n  case 1: x = 1\n  case _: x = 2\nx", {}),
        ("match v:\n  case 1: x = 1\nx", {"x": 2}),
        ("x = 1\ndel x\nx", {"x": 2}),
        ("x = 1\ndel x\nx = 2\nx", {}),
        ("if a:\n  def f(): pass\ndef g(): return f", {"f": 2}),
    ],
)
def test_names_that_are_only_perhaps_set(cell: str, doubtful: dict[str, int]) -> None:
    assert names_of(cell).conditional == doubtful


@pytest.mark.parametrize(
    ("cell", "word"),
    [
        ("from m import *", "import *"),
        ("exec('x = 1')", "exec() in line 1"),
        ("\nglobals()['x'] = 1", "globals() in line 2"),
        ("def f(): return vars()", "vars()"),
        ("model.eval()", None),
        ("x = 1", None),
    ],
)
def test_what_makes_the_analysis_unsure(cell: str, word: str | None) -> None:
    unsure = names_of(cell).unsure
    assert unsure is None if word is None else word in str(unsure)


def test_lines_of_bindings_count_every_one() -> None:
    assert names_of("x = 1\nfor x in []:\n  x = 2").lines_set() == {"x": [1, 2, 3]}


def test_imports_with_lines_and_guards() -> None:
    names = names_of(
        "import a.b, c\ndef f():\n  from d.e import g\ntry:\n  import h\nexcept ImportError:\n  pass\nfrom . import i\n"
    )
    assert names.imports == [
        Import("a.b", 1, False),
        Import("c", 1, False),
        Import("d.e", 3, False),
        Import("h", 5, True),
    ]


def test_attribute_chains() -> None:
    assert attribute_chains(to_python("a.b.c(a.d, b.a.x)\na").tree, "a") == {"a.b", "a.b.c", "a.d"}
