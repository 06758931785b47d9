from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mlrun.errors import BadInput, CellError
from jupyter_mlrun.literals import not_plain, source_of
from jupyter_mlrun.package import expand, package_cell, package_script, parse_parameter
from jupyter_mlrun.words import close, did_you_mean


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1", 0.1),
        ("1e-3", 0.001),
        ("-5", -5),
        ("0x10", 16),
        ("True", True),
        ("true", True),
        ("false", False),
        ("null", None),
        ("None", None),
        ("'a b'", "a b"),
        ("[1, (2, 'x'), {'k': None}]", [1, (2, "x"), {"k": None}]),
        ("", ""),
        ("a=b=c", "a=b=c"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("...", "..."),
        ("1e999", math.inf),
        ("adam", "adam"),
        ("TRUE", "TRUE"),
        ("1 + 1", "1 + 1"),
        ("01", "01"),
        ("__import__('os')", "__import__('os')"),
        ('"; import os', '"; import os'),
        ("a\nb", "a\nb"),
        ("((((" * 100, "((((" * 100),
        ("9" * 4000, int("9" * 4000)),
    ],
)
def test_value_is_a_literal_else_the_text(text: str, value: object) -> None:
    parameter = parse_parameter(f"KEY={text}")
    assert (parameter.name, parameter.text, parameter.value) == ("KEY", text, value)
    assert type(parameter.value) is type(value)


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("lr", "no value"),
        ("=1", "not a Python name"),
        ("learning-rate=1", "'--'|after"),
        ("1x=1", "not a Python name"),
        ("class=1", "not a Python name"),
        ("a b=1", "not a Python name"),
        ("__file__=1", "Python itself"),
        ("x=a\0b", "NUL character at position 2"),
        ("x=\ud800", "lone surrogate"),
        ("x=" + "9" * 5000, "more digits"),
        ("x;import os=1", "not a Python name"),
    ],
)
def test_wrong_parameters_are_refused_with_a_cure(option: str, says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        parse_parameter(option)
    assert caught.value.hint


def test_a_parameter_given_twice_is_named() -> None:
    with pytest.raises(BadInput, match="'lr' is given twice"):
        package_cell("lr", parameters=["lr=1", "lr=2"])


def test_names_are_normalised_as_python_does() -> None:
    assert parse_parameter("ﬁ=1").name == "fi"


LITERALS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=4)
        | st.sets(st.integers(), max_size=4)
    ),
    max_leaves=12,
)


def alike(one: object, other: object) -> bool:
    """Equal, and of equal types all the way down (sets may show their items in another order)."""
    return one == other and sorted(repr(one)) == sorted(repr(other))


@given(LITERALS)
def test_every_literal_survives_as_source(value: object) -> None:
    text = source_of(value)
    assert "\n" not in text
    assert alike(eval(text, {"__builtins__": {}}), value)


@given(LITERALS)
def test_a_filled_default_is_the_value(value: object) -> None:
    option = f"x={source_of(value)}"
    text = package_cell("x = [\n  1,\n]  # the default\ny = x", parameters=[option]).files["cell.py"].decode()
    assert text.count("\n") == 3
    space: dict[str, object] = {}
    exec(text, space)
    assert alike(space["y"], parse_parameter(option).value)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_text_is_safe_in_a_cell(text: str) -> None:
    files = package_cell("print(x)", parameters=[f"x={text}"]).files
    main = files["cell_main.py"].decode()
    assignment = next(line for line in main.split("\n") if line.startswith("x = "))
    space: dict[str, object] = {}
    exec(assignment, space)
    assert repr(space["x"]) == repr(parse_parameter(f"x={text}").value)


def test_numbers_that_have_no_decimal_text() -> None:
    assert math.isnan(eval(source_of(math.nan)))
    assert eval(source_of([-math.inf, 10**5000])) == [-math.inf, 10**5000]
    assert eval(source_of(1 - 2j)) == 1 - 2j
    with pytest.raises(TypeError, match="not a literal"):
        source_of(...)


@pytest.mark.parametrize(
    ("cell", "becomes"),
    [
        ("lr = 0.1", "lr = 'v'"),
        ("lr = 0.1  # why", "lr = 'v'  # why"),
        ("lr: float = 0.1; b = 2", "lr: float = 'v'; b = 2"),
        ("é = 'ü'; lr = 'ß'; b = 2", "é = 'ü'; lr = 'v'; b = 2"),
        ("lr = -1", "lr = 'v'"),
        ("lr = (\n  0.1\n)", "lr = (\n  'v'\n)"),
        ("lr = (1,\n  2)  # c", "lr = ('v'\n)  # c"),
        ("lr = [\n  1,\n\n  2]; b = 3", "lr = ('v'\n\n\n); b = 3"),
        ('lr = """a\nb"""', "lr = ('v'\n)"),
        ("lr = 1, \\\n  2", "lr = ('v'\n)"),
        ("lr = {'a': [1]}\n", "lr = 'v'\n"),
        ("lr=None\nwith open('f') as f: f", "lr='v'\nwith open('f') as f: f"),
    ],
)
def test_a_default_is_replaced_in_place(cell: str, becomes: str) -> None:
    package = package_cell(cell, parameters=["lr=v"])
    assert package.script == "cell.py"
    assert package.files == {"cell.py": becomes.encode()}
    assert package.parameters["lr"].text == "v"


@pytest.mark.parametrize(
    ("cell", "line"),
    [
        ("lr = b = 1", 1),
        ("b = 1\nlr, c = 1, 2", 2),
        ("lr = 1\nlr += 1", 2),
        ("lr = 1\nlr = 2", 2),
        ("for lr in [1]:\n  pass", 1),
        ("\nwith open('x') as lr:\n  pass", 2),
        ("import os as lr", 1),
        ("from os import path as lr", 1),
        ("def lr(): pass", 1),
        ("class lr: pass", 1),
        ("print(lr := 1)", 1),
        ("if 1 > 0:\n  lr = 1", 2),
        ("try:\n  pass\nexcept OSError as lr:\n  pass", 3),
        ("lr = 1 / 3", 1),
        ("lr = 0.1; lr = lr * 2", 1),
        ("lr: float = float('1')", 1),
        ("match 1:\n  case lr: pass", 2),
        ("while (lr := 0): pass", 1),
    ],
)
def test_any_other_assignment_is_an_error_at_its_line(cell: str, line: int) -> None:
    with pytest.raises(CellError, match=f"cell line {line}: 'lr' is given by -p") as caught:
        package_cell(cell, parameters=["lr=3"])
    assert caught.value.line == line
    assert caught.value.hint


@pytest.mark.parametrize(
    "cell",
    [
        "lr: float\nprint(lr)",
        "print([lr for lr in 'ab'], lr)",
        "def f(lr): return lr\nf(lr)",
        "def f():\n  lr = 1\n  return lr\nprint(lr)",
        "class A:\n  lr = 1\nprint(lr)",
        "(lambda lr: lr)(lr)",
    ],
)
def test_other_scopes_do_not_assign_the_parameter(cell: str) -> None:
    package = package_cell(cell, parameters=["lr=3"])
    assert package.script == "cell_main.py"
    assert package.files["cell.py"] == cell.encode()
    assert "\nlr = 3\n" in package.files["cell_main.py"].decode()


def test_a_parameter_that_nothing_reads_is_a_warning() -> None:
    (warning,) = package_cell("rate = 1\nprint(rate)", parameters=["rat=2"]).warnings
    assert "'rat' is read nowhere" in warning
    assert "'rate'" in warning


def test_parameters_of_a_script_are_options_before_the_arguments(tmp_path: Path) -> None:
    hostile = "$(touch PWN); `id` \"'\n{x}"
    package = package_script(
        "./train.py", present=["train.py"], parameters=["lr=0.1", f"note={hostile}"], arguments=["--x", "-1"]
    )
    assert package.arguments == ("--lr", "0.1", "--note", hostile, "--x", "-1")
    (tmp_path / "train.py").write_text("import sys\nprint(sys.argv[1:])")
    command = [sys.executable, package.script, *package.arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert eval(done.stdout) == list(package.arguments)
    assert not (tmp_path / "PWN").exists()


@pytest.mark.parametrize(
    ("script", "hint"),
    [
        ("trian.py", "'train.py'"),
        ("sub.py", "'lib/sub.py'"),
        ("../train.py", "'train.py'"),
        ("zzz", "known: lib/sub.py"),
    ],
)
def test_a_missing_script_names_what_is_close(script: str, hint: str) -> None:
    with pytest.raises(BadInput, match="not in the snapshot") as caught:
        package_script(script, present=["train.py", "lib/sub.py", "data.csv"])
    assert hint in str(caught.value.hint)


def test_arguments_that_no_command_line_can_hold_are_refused() -> None:
    with pytest.raises(BadInput, match="argument 2 contains a NUL"):
        package_script("a.py", present=["a.py"], arguments=["x", "\0"])


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("plain $x", "plain $x"),
        ("{x}/y", "7/y"),
        ("{{x}}", "{x}"),
        ("{{{x}}}", "{7}"),
        ("{p}", "/data/in"),
        ("{hostile}", "{x} $(id)"),
        ("}}{{", "}{"),
        ('{"a": [1, {"b": null}]}', '{"a": [1, {"b": null}]}'),
        ("", ""),
    ],
)
def test_expansion_of_option_values(text: str, becomes: str) -> None:
    names = {"x": 7, "p": PurePosixPath("/data/in"), "hostile": "{x} $(id)"}
    assert expand(text, names) == becomes


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{fram}", "did you mean 'frame'"),
        ("{}", "not the name"),
        ("{x1.real}", "not the name"),
        ("{x1:>5}", "not the name"),
        ("{x1!r}", "not the name"),
        ("{x1[0]}", "not the name"),
        ("a}b", "not the name"),
        ("a{b", "not the name"),
        ('{"a": 1', "not the name"),
        ('{"a", x1}', "not the name"),
        ("{frame}", "is a list"),
        ("{frame}", "no plain text"),
    ],
)
def test_wrong_expansions_are_refused(text: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        expand(text, {"x1": 1, "frame": []})
    assert says in str(caught.value)


def test_not_plain_names_the_first_part_that_is_not() -> None:
    loop: list[object] = []
    loop.append(loop)
    deep: list[object] = []
    for _ in range(100):
        deep = [deep]
    assert not_plain({"a": [1, (None, "x")], 2: math.nan}) is None
    assert not_plain({"a": [1, {2}]}) == "['a'][1] is a set"
    assert not_plain({(1, b"x"): 1}) == "a key of it[1] is a bytes"
    assert not_plain(loop) == "[0] contains itself"
    assert "nested" in str(not_plain(deep))
    shared = [1]
    assert not_plain([shared, shared]) is None


def test_words() -> None:
    assert close("slrum", ["slurm", "local"]) == "slurm"
    assert close("X", ["x", "local"]) == "x"
    assert close("q", ["slurm"]) is None
    assert did_you_mean("slrum", ["slurm"]) == "did you mean 'slurm'?"
    assert did_you_mean("q", []) == "there are none yet"
    assert did_you_mean("q", [f"name{i}" for i in range(10)]).endswith("and 2 more")
