"""``ScriptRunConfig`` and what it is made of: inputs among the arguments, environments, computes, process counts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlrun import Experiment, Run, ScriptRunConfig, Workspace
from jupyter_mlrun.backends import local
from jupyter_mlrun.errors import BadInput, NotFound
from jupyter_mlrun.sdk import inputs, once
from jupyter_mlrun.sdk.compute import AmlCompute, ComputeTarget
from jupyter_mlrun.sdk.conda import CondaDependencies
from jupyter_mlrun.sdk.data import DataReference, Dataset, DatasetConsumptionConfig
from jupyter_mlrun.sdk.environments import Environment
from jupyter_mlrun.sdk.runconfig import (
    DockerConfiguration,
    MpiConfiguration,
    PyTorchConfiguration,
    RunConfiguration,
    TensorflowConfiguration,
)
from tests.support import finish, log_of

SHOW = "import json, os, sys\nprint(json.dumps(sys.argv[1:]))"


@pytest.fixture(autouse=True)
def say_again() -> None:
    once.forget()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "train.py").write_text(SHOW)
    return folder


@pytest.fixture
def dataset(home: Path, tmp_path: Path) -> Any:
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.txt").write_text("alpha")
    store = Workspace().get_default_datastore()
    store.upload(str(data), "datasets/cifar10", show_progress=False)
    return Dataset.File.from_files(path=(store, "datasets/cifar10"))


def completed(config: ScriptRunConfig) -> Run:
    run = Experiment(Workspace(), "test").submit(config)
    assert str(finish(run).status) == "Completed", log_of(run)
    return run


def shown(config: ScriptRunConfig) -> str:
    """What the script printed, the preamble left out."""
    return log_of(completed(config)).partition("Script type = None\n")[2]


def test_the_tutorial_s_configuration(dataset: Any, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (source / "train.py").write_text(
        "import argparse, os\np = argparse.ArgumentParser()\n"
        "p.add_argument('--data_path')\n"
        "p.add_argument('--learning_rate', type=float)\np.add_argument('--momentum', type=float)\n"
        "a = p.parse_args()\nprint(os.listdir(a.data_path), a.learning_rate, a.momentum)\n"
    )
    ws = Workspace()
    config = ScriptRunConfig(
        source_directory=str(source),
        script="train.py",
        compute_target="cpu-cluster",
        arguments=[
            "--data_path",
            dataset.as_named_input("input").as_mount(),
            "--learning_rate",
            0.003,
            "--momentum",
            0.92,
        ],
    )
    # use curated pytorch environment
    env = ws.environments["AzureML-PyTorch-1.6-CPU"]
    config.run_config.environment = env
    run = completed(config)
    log = log_of(run)
    arguments = "['--data_path', '$input', '--learning_rate', '0.003', '--momentum', '0.92']"
    assert f"Preparing to call script [ train.py ] with arguments: {arguments}\n" in log
    assert "After variable expansion, calling script [ train.py ] with arguments: ['--data_path', '/" in log
    assert log.endswith("Script type = None\n['a.txt'] 0.003 0.92\n")
    assert (run.spec.target, run.spec.environment["name"]) == ("cpu-cluster", "AzureML-PyTorch-1.6-CPU")
    assert capsys.readouterr().err.count("AzureML-PyTorch-1.6-CPU") == 1


def test_the_how_to_s_configuration(home: Path, source: Path) -> None:
    compute_target = ComputeTarget(Workspace(), "cpu-cluster")
    src = ScriptRunConfig(
        source_directory=str(source), script="train.py", arguments=["--num_epochs", 30, "--output_dir", "./outputs"],
        compute_target=compute_target, environment=Environment("mine"),
    )  # fmt: skip
    assert shown(src) == '["--num_epochs", "30", "--output_dir", "./outputs"]\n'
    assert src.compute_target == src.run_config.target == "cpu-cluster"


def test_data_references_become_paths(dataset: Any, source: Path) -> None:
    store = Workspace().get_default_datastore()
    reference = store.path("datasets/cifar10").as_mount()
    (source / "train.py").write_text("import os, sys\nprint([os.listdir(one) for one in sys.argv[1:]])")
    config = ScriptRunConfig(source, "train.py", [reference, str(reference)])
    assert shown(config) == "[['a.txt'], ['a.txt']]\n"


def test_inputs_of_the_run_configuration(dataset: Any, source: Path) -> None:
    (source / "train.py").write_text(
        "import os\nprint(os.listdir(os.environ['pictures']), os.listdir(os.environ['x']))"
    )
    config = ScriptRunConfig(source, "train.py")
    config.run_config.data["pictures"] = dataset.as_named_input("pictures").as_download()
    config.run_config.data_references = {"x": DataReference(Workspace().get_default_datastore(), "x", "datasets")}
    assert shown(config) == "['a.txt'] ['cifar10']\n"


def test_a_variable_of_the_compute_is_put_in(home: Path, source: Path) -> None:
    env = Environment("mine")
    env.environment_variables["WORD"] = "kept"
    assert shown(ScriptRunConfig(source, "train.py", ["$WORD", "${NO_SUCH}", "5$"], environment=env)) == (
        '["kept", "$NO_SUCH", "5$"]\n'
    )


def test_a_data_set_that_is_no_input_is_refused(dataset: Any, source: Path) -> None:
    with pytest.raises(BadInput, match="as_named_input"):
        ScriptRunConfig(source, "train.py", [dataset])
    config = ScriptRunConfig(source, "train.py")
    config.arguments.append(dataset)
    with pytest.raises(BadInput, match="as_named_input"):
        config.to_request("test", None)


def test_one_name_is_one_input(dataset: Any, source: Path) -> None:
    one, other = dataset.as_named_input("x").as_mount(), dataset.as_named_input("x").as_download()
    assert list(ScriptRunConfig(source, "t.py", [one, one]).to_request("e", None).bound or ()) == ["x"]
    again = DatasetConsumptionConfig("x", dataset, "mount")
    assert list(ScriptRunConfig(source, "t.py", [one, again]).to_request("e", None).bound or ()) == ["x"]
    with pytest.raises(BadInput, match="two inputs are called 'x'"):
        ScriptRunConfig(source, "t.py", [one, other]).to_request("e", None)
    config = ScriptRunConfig(source, "t.py")
    config.run_config.data = {"x": "folder"}
    with pytest.raises(BadInput, match="the input 'x' is a str"):
        config.to_request("e", None)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "needs a script or a command"),
        ({"script": "a.py", "command": "ls"}, "needs a script or a command"),
        ({"script": "a.py", "arguments": ["a\0b"]}, "NUL character"),
        ({"script": "a.py", "compute_target": 3}, "3 is no compute"),
        ({"script": "a.py", "run_config": {}}, "a dict is no run_config"),
        ({"script": "a.py", "distributed_job_config": 2}, "an int is no distributed_job_config"),
    ],
)
def test_what_cannot_be(options: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        ScriptRunConfig(".", **options)


def test_an_environment_must_be_one(source: Path) -> None:
    config = ScriptRunConfig(source, "train.py")
    config.run_config.environment = "pytorch-env"
    with pytest.raises(BadInput, match="'pytorch-env' is no environment"):
        config.to_request("e", None)


def test_resuming_is_not_here(source: Path) -> None:
    with pytest.raises(NotImplementedError, match="give a checkpoint among the arguments"):
        ScriptRunConfig(source, "train.py", resume_from=object())


class TestRunConfig:
    def test_what_it_says_counts_and_the_rest_is_ignored_with_a_word(
        self, source: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        given = RunConfiguration(conda_dependencies=CondaDependencies.create(pip_packages=["numpy"]))
        given.target = "cpu-cluster"
        config = ScriptRunConfig(
            source, "train.py", ["--x", 1], given, compute_target="local", environment=Environment("other")
        )
        assert config.run_config is given
        request = config.to_request("e", {"a": "b"})
        assert (request.target, request.arguments, request.tags) == ("cpu-cluster", ("--x", "1"), ("a=b",))
        assert request.environment is given.environment
        assert "compute_target, environment of ScriptRunConfig is ignored" in capsys.readouterr().err

    def test_one_of_them_serves_many(self, source: Path) -> None:
        given = RunConfiguration()
        configs = [ScriptRunConfig(source, "train.py", [n], given) for n in range(3)]
        assert [config.to_request("e", None).arguments for config in configs] == [("0",), ("1",), ("2",)]

    def test_script_and_arguments_may_stand_in_it(self, source: Path) -> None:
        config = ScriptRunConfig(source, run_config=RunConfiguration("train.py", ["a", 1]))
        request = config.to_request("e", None)
        assert (request.script, request.arguments, request.preamble) == ("train.py", ("a", "1"), True)

    def test_no_compute_is_the_one_of_the_settings(self, source: Path) -> None:
        config = ScriptRunConfig(source, "train.py")
        assert (config.run_config.target, config.to_request("e", None).target) == ("local", None)

    def test_the_time_limit(self, source: Path) -> None:
        assert ScriptRunConfig(source, "t.py").to_request("e", None).time is None
        assert ScriptRunConfig(source, "t.py", max_run_duration_seconds=60).to_request("e", None).time == 60
        given = RunConfiguration()
        given.max_run_duration_seconds = 7
        assert ScriptRunConfig(source, "t.py", run_config=given).to_request("e", None).time == 7

    def test_a_file_holds_it(self, tmp_path: Path) -> None:
        made = RunConfiguration("train.py", ["--lr", 0.1], communicator="OpenMpi")
        made.target, made.node_count, made.max_run_duration_seconds = "cpu-cluster", 2, 60
        made.environment = Environment("mine")
        made.environment.python.conda_dependencies.add_pip_package("numpy>=1")
        made.environment_variables = {"A": "b"}
        made.mpi = MpiConfiguration(4)
        made.save(tmp_path, name="cluster", separate_environment_yaml=True)
        found = RunConfiguration.load(tmp_path, "cluster")
        assert found.as_dict() == made.as_dict()
        assert (found.environment_variables, found.arguments) == ({"A": "b"}, ["--lr", "0.1"])
        assert CondaDependencies(tmp_path / ".azureml/cluster.environment.yml").pip_packages == ["numpy>=1"]
        assert RunConfiguration.load(tmp_path / ".azureml/cluster.runconfig").target == "cpu-cluster"
        RunConfiguration.delete(tmp_path, "cluster")
        with pytest.raises(NotFound, match=r"cluster\.runconfig does not exist"):
            RunConfiguration.load(tmp_path, "cluster")
        with pytest.raises(NotFound, match="does not exist"):
            RunConfiguration.delete(tmp_path, "cluster")

    @pytest.mark.parametrize(
        "text",
        ["- a", "target: [1]", "nodeCount: many", "mpi: 3", "environment: {python: {condaDependencies: 3}}",
         "pytorch: {communicationBackend: Mpi}", "x: !!python/object:os.system {}", "arguments: 5"],
    )  # fmt: skip
    def test_a_broken_file_is_one_clear_error(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "x.runconfig").write_text(text)
        with pytest.raises(BadInput):
            RunConfiguration.load(tmp_path, "x")

    def test_a_name_is_no_path(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match="no name for a run configuration"):
            RunConfiguration().save(tmp_path, "../evil")

    @pytest.mark.parametrize(
        ("change", "says"),
        [({"framework": "Pytoch"}, "did you mean 'PyTorch'"), ({"communicator": "Mpy"}, "did you mean 'Mpi'")],
    )
    def test_words_that_nobody_knows(self, source: Path, change: dict[str, str], says: str) -> None:
        config = ScriptRunConfig(source, "train.py", run_config=RunConfiguration(**change))  # type: ignore[arg-type]
        with pytest.raises(BadInput, match=says):
            config.to_request("e", None)


class TestCommands:
    def test_a_list_with_an_input(self, dataset: Any, source: Path) -> None:
        one = dataset.as_named_input("x").as_mount()
        code = "import os, sys; print(sys.executable, os.listdir(sys.argv[1]))"
        config = ScriptRunConfig(source, command=["python", "-c", code, one])
        assert log_of(completed(config)).endswith(f"{sys.executable} ['a.txt']\n")

    def test_a_line_for_the_shell(self, home: Path, source: Path) -> None:
        config = ScriptRunConfig(source, command="python train.py one && echo done")
        assert log_of(completed(config)).endswith('["one"]\ndone\n')
        assert config.script is None


class TestProcesses:
    @pytest.mark.parametrize(
        ("make", "nodes", "procs"),
        [
            (lambda: MpiConfiguration(), 1, 1),  # noqa: PLW0108 -- as the others
            (lambda: MpiConfiguration(process_count_per_node=2, node_count=3), 3, 2),
            (lambda: PyTorchConfiguration(), 1, 1),  # noqa: PLW0108 -- as the others
            (lambda: PyTorchConfiguration(process_count=4, node_count=2), 2, 2),
            (lambda: PyTorchConfiguration("gloo", node_count=3), 3, 1),
            (lambda: TensorflowConfiguration(), 1, 1),  # noqa: PLW0108 -- as the others
        ],
    )
    def test_counts(self, source: Path, make: Callable[[], Any], nodes: int, procs: int) -> None:
        request = ScriptRunConfig(source, "train.py", distributed_job_config=make()).to_request("e", None)
        assert (request.nodes, request.procs) == (nodes, procs)

    def test_counts_in_the_run_configuration(self, source: Path) -> None:
        given = RunConfiguration(framework="PyTorch", communicator="Nccl")
        given.pytorch.process_count, given.node_count = 4, 2
        assert given.shape() == (2, 2)
        given = RunConfiguration(communicator="Mpi")
        given.mpi.process_count_per_node, given.node_count = 2, 1
        assert given.shape() == (1, 2)
        given = RunConfiguration()
        given.node_count = 3
        assert given.shape() == (3, 1)

    @pytest.mark.parametrize(
        ("make", "says"),
        [
            (lambda: MpiConfiguration(0), "process_count_per_node 0 is no count"),
            (lambda: MpiConfiguration(node_count=True), "node_count True is no count"),
            (lambda: PyTorchConfiguration("mpi"), "'mpi' is no communication_backend"),
            (lambda: PyTorchConfiguration(process_count="2"), "process_count '2'"),  # type: ignore[arg-type]
            (lambda: PyTorchConfiguration(process_count=3, node_count=2).processes, "3 processes do not spread"),
            (lambda: TensorflowConfiguration(0), "worker_count 0"),
        ],
    )
    def test_counts_that_cannot_be(self, make: Callable[[], Any], says: str) -> None:
        with pytest.raises(BadInput, match=says):
            make()

    def test_several_tensorflow_workers_are_not_here(self, source: Path) -> None:
        config = ScriptRunConfig(source, "train.py", distributed_job_config=TensorflowConfiguration(2))
        with pytest.raises(NotImplementedError, match="use MpiConfiguration"):
            config.to_request("e", None)

    def test_two_processes_run(self, home: Path, source: Path) -> None:
        (source / "train.py").write_text(
            "import os\nos.makedirs('outputs', exist_ok=True)\n"
            "open('outputs/' + os.environ['RANK'], 'w').write(os.environ['WORLD_SIZE'] + os.environ['LOCAL_RANK'])"
        )
        run = completed(ScriptRunConfig(source, "train.py", distributed_job_config=PyTorchConfiguration("gloo", 2)))
        assert [(run.path / "outputs" / rank).read_text() for rank in "01"] == ["20", "21"]

    def test_each_process_asks_for_a_gpu(self, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def asked(procs: int) -> Any:
            job = MpiConfiguration(procs)
            return ScriptRunConfig(source, "train.py", distributed_job_config=job).to_request("e", None).gpus

        cards = tuple(local.Gpu(f"GPU-{n}", "card", 2**30) for n in range(3))
        monkeypatch.setattr(local, "_gpus", lambda: cards)
        assert [asked(1), asked(2), asked(4)] == ["auto", 2, 3]
        monkeypatch.setattr(local, "_gpus", lambda: ())
        assert asked(2) == "auto"

    def test_more_nodes_than_there_are(self, home: Path, source: Path) -> None:
        ComputeTarget.create(Workspace(), "big", AmlCompute.provisioning_configuration("STANDARD_D2_V2", max_nodes=4))
        config = ScriptRunConfig(
            source, "train.py", compute_target="big", distributed_job_config=MpiConfiguration(1, 2)
        )
        with pytest.raises(BadInput, match="the local compute has 1"):
            Experiment(Workspace(), "test").submit(config)


def test_docker_is_recorded_and_said_once(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    docker = DockerConfiguration(use_docker=True, shm_size="8g")
    config = ScriptRunConfig(source, "train.py", docker_runtime_config=docker)
    config.to_request("e", None)
    config.to_request("e", None)
    assert capsys.readouterr().err.count("Docker is not used") == 1
    assert config.run_config.docker.shm_size == "8g"
    assert DockerConfiguration().arguments is not DockerConfiguration().arguments


def test_a_mark_of_an_input_is_no_text_of_a_user() -> None:
    with pytest.raises(BadInput, match="NUL"):
        ScriptRunConfig(".", "t.py", [inputs.marked("x")])


def test_arguments_of_the_run_config_may_come_late(source: Path) -> None:
    config = ScriptRunConfig(str(source), "train.py", ["--first"])
    config.run_config.arguments = ["--late", 1]
    assert config.to_request("e", None).arguments == ("--late", "1")
    config.arguments = ["--own"]
    with pytest.raises(BadInput, match="set one of them"):
        config.to_request("e", None)
    config.run_config.arguments = []
    assert config.to_request("e", None).arguments == ("--own",)
    taken = ScriptRunConfig(str(source), "train.py", run_config=RunConfiguration("train.py", ["--kept"]))
    taken.arguments.append("--more")
    assert taken.to_request("e", None).arguments == ("--kept", "--more")
