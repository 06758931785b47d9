"""Conda's environment files: read safely, changed by name, written back."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_mlrun.errors import BadInput, NotFound
from jupyter_mlrun.sdk import safe_yaml
from jupyter_mlrun.sdk.conda import CondaDependencies
from jupyter_mlrun.sdk.requirements import conda_name_and_version

PYTORCH = """\
name: pytorch-env
channels:
    - defaults
    - pytorch
dependencies:
    - python=3.6.2
    - pytorch
    - torchvision
    - pip:
        - azureml-defaults
        - future==0.17.1
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "environment.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_is_read_and_written_back_the_same(tmp_path: Path) -> None:
    found = CondaDependencies(write(tmp_path, PYTORCH))
    assert found.conda_channels == ["defaults", "pytorch"]
    assert found.conda_packages == ["python=3.6.2", "pytorch", "torchvision"]
    assert found.pip_packages == ["azureml-defaults", "future==0.17.1"]
    assert found.get_python_version() == "3.6.2"
    assert found.save_to_file(tmp_path, "again.yml") == "again.yml"
    again = CondaDependencies(tmp_path / "again.yml")
    assert again == found
    assert again.as_dict()["name"] == "pytorch-env"


def test_packages_are_known_by_name() -> None:
    made = CondaDependencies.create(conda_packages=["numpy=1.24"], pip_packages=["Torch==1.6.0"], python_version="3.8")
    made.add_conda_package("numpy>=2")
    made.add_pip_package("torch>=2")
    made.add_channel("conda-forge")
    made.add_channel("conda-forge")
    assert made.conda_packages == ["python=3.8", "numpy>=2"]
    assert made.pip_packages == ["torch>=2"]
    assert made.conda_channels == ["conda-forge"]
    made.set_python_version("3.11")
    made.remove_conda_package("numpy")
    made.remove_pip_package("TORCH")
    made.remove_channel("conda-forge")
    assert made.as_dict() == {"dependencies": ["python=3.11"]}


def test_the_sdk_itself_is_what_is_asked_for_without_packages() -> None:
    assert CondaDependencies.create().pip_packages == ["azureml-defaults"]


def test_options_of_pip_are_kept_apart() -> None:
    made = CondaDependencies.create(pip_indexurl="https://example.org/simple", pip_packages=["numpy"])
    made.set_pip_option("--pre")
    assert made.pip_options == ["--index-url https://example.org/simple", "--pre"]
    made.set_pip_index_url("")
    made.set_pip_requirements(["# a comment", "scipy>=1"])
    assert (made.pip_options, made.pip_packages) == ([], ["scipy>=1"])


def test_requirements_of_one_name_are_merged() -> None:
    merged = CondaDependencies.merge_requirements(["numpy>=1", "NumPy<3", "scipy"])
    assert sorted(merged) == ["numpy<3,>=1", "scipy"]


def test_packages_that_have_no_release_any_more() -> None:
    made = CondaDependencies()
    made.add_tensorflow_pip_package(version="2.15.0")
    made.add_tensorflow_conda_package("gpu")
    assert (made.pip_packages, made.conda_packages) == (["tensorflow==2.15.0"], ["tensorflow"])
    with pytest.raises(NotImplementedError, match="use torch"):
        made.add_cntk_package()
    with pytest.raises(BadInput, match="neither 'cpu' nor 'gpu'"):
        made.add_tensorflow_pip_package("tpu")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("dependencies: !!python/object/apply:os.system ['touch hacked']", "line 1"),
        ("a: &a [x, x]\nb: [*a, *a]", "line 1: anchors and aliases"),
        ("dependencies: [" + "[]," * 20_000 + "]", "more than 20,000 lines and values"),
        ("dependencies: " + "[" * 500 + "]" * 500, "nested more than 40"),
        ("dependencies:\n- numpy\n- pip:\n  - -e git+https://example.org/x", "line 4: '-e git+https"),
        ("dependencies:\n- pip:\n  - --index-url=https://evil.example", "line 3: '--index-url"),
        ("dependencies:\n- pip:\n  - thing @ https://evil.example/x.whl", "it names an address"),
        ("dependencies:\n- 'numpy; rm -rf /'", "line 2: 'numpy; rm -rf /' is not a conda package"),
        ('dependencies:\n- "numpy\\nRUN evil"', "is not a conda package"),
        ("dependencies:\n- numpy:\n  - x", "only `pip:` may have a list"),
        ("dependencies: numpy", "dependencies is no list"),
        ("dependencies:\n- 5", "'5' is not a conda package"),
        ("- numpy", "holds no mapping"),
        ("dependencies: [numpy", "line 1"),
        ("{[a]: b}", "environment.yml"),
        ("x: 2001-99-99", "environment.yml"),
        ("# " + "x" * 1_000_001, "more than 1,000,000 bytes"),
    ],
)
def test_a_hostile_or_broken_file_is_one_clear_error(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(BadInput) as caught:
        CondaDependencies(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert sorted(tmp_path.glob("hack*")) == []


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="does not exist"):
        CondaDependencies(tmp_path / "none.yml")
    (tmp_path / "binary.yml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="cannot be read"):
        CondaDependencies(tmp_path / "binary.yml")


@pytest.mark.parametrize(
    ("text", "name", "specifier"),
    [
        ("numpy", "numpy", ""),
        ("numpy=1.24", "numpy", "==1.24.*"),
        ("numpy 1.24", "numpy", "==1.24.*"),
        ("numpy==1.24.1", "numpy", "==1.24.1"),
        ("numpy=1.24=py311_0", "numpy", "==1.24.*"),
        ("numpy>=1.24, <3", "numpy", ">=1.24,<3"),
        ("conda-forge::PyTorch=2.*", "pytorch", "==2.*"),
        ("numpy=*", "numpy", ""),
    ],
)
def test_packages_of_conda_as_pip_writes_them(text: str, name: str, specifier: str) -> None:
    assert conda_name_and_version(text, "here") == (name, specifier)


def test_text_of_yaml_comes_back() -> None:
    value = {"name": "größe", "list": ["a: b", "- c", "'"], "none": None}
    assert safe_yaml.load(safe_yaml.dump(value), "here") == value
