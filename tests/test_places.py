"""Arguments in the wrong order, and texts where lists belong: each is told before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from jupyter_mlrun import Dataset, Datastore, Environment, Experiment, Model, Run, ScriptRunConfig, Workspace
from jupyter_mlrun.errors import BadInput, NotFound
from jupyter_mlrun.sdk.compute import AmlCompute, ComputeTarget
from jupyter_mlrun.sdk.conda import CondaDependencies

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return Workspace("default", home=tmp_path / "home")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda ws: Dataset.get_by_name("birds", ws),
        lambda _: Dataset.get_by_id("birds", "1a2b"),
        lambda _: Dataset.get_all("birds"),
        lambda ws: Datastore("store", ws),
        lambda _: Datastore.get_default("store"),
        lambda ws: Model("birds", ws),
        lambda _: Model.list("birds"),
        lambda ws: Environment.get("torch", ws),
        lambda _: Environment.list("torch"),
        lambda _: Environment("torch").register("torch"),
        lambda ws: ComputeTarget("cpu-cluster", ws),  # type: ignore[arg-type]
        lambda _: Experiment.list("train"),
        lambda ws: Run.get("train_1750000000_1a2b3c4d", ws),
        lambda ws: Run.get(Experiment(ws, "train"), "train_1750000000_1a2b3c4d"),
    ],
)
def test_a_workspace_comes_first(ws: Workspace, wrong: Callable[[Any], object]) -> None:
    with pytest.raises(BadInput, match="is no workspace") as caught:
        wrong(ws)
    assert "Workspace.from_config()" in str(caught.value.hint)


def test_a_run_is_of_an_experiment(ws: Workspace) -> None:
    given: Any = ws
    wrongs: list[Any] = [lambda: Run(given, "train_1750000000_1a2b3c4d"), lambda: Run.list(given)]
    for wrong in wrongs:
        with pytest.raises(BadInput, match="an object of Workspace is no experiment"):
            wrong()


def test_what_is_no_id_of_a_run(ws: Workspace) -> None:
    for text in ("@1", "train", "../x"):
        with pytest.raises(NotFound, match="is not a run id") as caught:
            Run.get(ws, text)
        assert "train_1750000000_1a2b3c4d" in str(caught.value.hint)


def test_a_text_is_no_list(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no list") as caught:
        ScriptRunConfig(tmp_path, "train.py", arguments="--lr 0.1")
    assert caught.value.hint == "arguments=['--lr', '0.1']"
    for wrong in (
        lambda: CondaDependencies.create(conda_packages="numpy pip"),  # type: ignore[arg-type]
        lambda: CondaDependencies.create(pip_packages="numpy pip"),  # type: ignore[arg-type]
        lambda: CondaDependencies().set_pip_requirements("numpy pip"),
    ):
        with pytest.raises(BadInput, match="'numpy pip' is no list") as caught:
            wrong()
        assert "['numpy', 'pip']" in str(caught.value.hint)


def test_a_data_set_is_registered_in_a_workspace(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a").write_text("1")
    store = ws.get_default_datastore()
    store.upload(str(tmp_path / "data"), "birds", show_progress=False)
    made = Dataset.File.from_files((store, "birds"))
    with pytest.raises(BadInput, match="'birds' is no workspace") as caught:
        made.register("birds")
    assert caught.value.hint == "register(ws, 'birds')"
    assert Dataset.get_all(ws) == {}
    assert repr(made) == "FileDataset(workspaceblobstore/birds)"
    assert repr(made.take(0)) == "FileDataset(workspaceblobstore/birds, 0 files)"


def test_the_cure_for_counts_of_nodes() -> None:
    with pytest.raises(BadInput, match="do not fit") as caught:
        AmlCompute.provisioning_configuration("STANDARD_D2_V2", min_nodes=5, max_nodes=2).validate_configuration()
    assert caught.value.hint == "max_nodes=5 or more"
