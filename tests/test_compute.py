"""Computes: known by name, made as the reference makes them, and each of them this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlrun import Workspace
from jupyter_mlrun.backends import local
from jupyter_mlrun.errors import BadInput, Conflict, NotFound
from jupyter_mlrun.sdk import compute, once
from jupyter_mlrun.sdk.compute import (
    AmlCompute,
    AmlComputeProvisioningConfiguration,
    AmlComputeStatus,
    ComputeTarget,
    ComputeTargetException,
    RemoteCompute,
)
from jupyter_mlrun.store.registry import Named
from tests.support import finish, running, submit_cell

WAITED = (
    "Succeeded\nAmlCompute wait for completion finished\n\nMinimum number of nodes requested have been provisioned\n"
)


@pytest.fixture(autouse=True)
def say_again() -> None:
    once.forget()


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_gpus", lambda: ())


def cluster(name: str = "gpu-cluster", **options: Any) -> ComputeTarget:
    config = AmlCompute.provisioning_configuration(**{"vm_size": "STANDARD_D2_V2", "max_nodes": 4, **options})
    return ComputeTarget.create(Workspace(), name, config)


def test_the_flow_of_the_pytorch_how_to(home: Path, no_gpu: None, capsys: pytest.CaptureFixture[str]) -> None:
    ws = Workspace()
    said = []
    for _ in range(2):
        # word for word
        cluster_name = "gpu-cluster"

        try:
            compute_target = ComputeTarget(workspace=ws, name=cluster_name)
            print("Found existing compute target")
        except ComputeTargetException:
            print("Creating a new compute target...")
            compute_config = AmlCompute.provisioning_configuration(
                vm_size="STANDARD_NC6",
                max_nodes=4,
            )

            compute_target = ComputeTarget.create(ws, cluster_name, compute_config)

            compute_target.wait_for_completion(show_output=True, min_node_count=None, timeout_in_minutes=20)
        said.append(capsys.readouterr())
    assert said[0].out == "Creating a new compute target...\nCreating\n" + WAITED
    assert said[0].err == (
        "warning: compute 'gpu-cluster' is a STANDARD_NC6, but this machine has no GPU: its runs use the CPU\n"
    )
    assert (said[1].out, said[1].err) == ("Found existing compute target\n", "")
    run = submit_cell("print('ran')", target="gpu-cluster")
    assert str(finish(run).status) == "Completed"
    assert run.spec.target == "gpu-cluster"
    assert capsys.readouterr().err == ""  # it was said when it was made


def test_an_unknown_compute_is_named_as_the_reference_does(home: Path) -> None:
    with pytest.raises(ComputeTargetException) as caught:
        ComputeTarget(Workspace(), "cpu-clutser")
    assert "ComputeTargetNotFound: Compute Target with name cpu-clutser not found in provided workspace" in str(
        caught.value
    )
    assert "did you mean 'cpu-cluster'" in str(caught.value)
    assert not home.exists()


def test_a_new_workspace_has_two(home: Path) -> None:
    workspace = Workspace()
    assert compute.known(workspace) == ["cpu-cluster", "local"]
    assert [type(one).__name__ for one in ComputeTarget.list(workspace)] == ["AmlCompute", "LocalCompute"]
    assert compute.backend_of(workspace, "cpu-cluster") == "local"
    assert str(finish(submit_cell("pass", target="cpu-cluster")).status) == "Completed"
    with pytest.raises(NotFound, match="no compute 'gpu'"):
        submit_cell("pass", target="gpu")


def test_computes_of_another_workspace_are_not_here(home: Path) -> None:
    cluster("mine")
    with pytest.raises(NotFound, match="no compute 'mine'"):
        compute.backend_of(Workspace("other"), "mine")


def test_a_gpu_is_not_missed_where_there_is_one(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(local, "_gpus", lambda: (local.Gpu("GPU-1", "card", 2**30),))
    cluster(vm_size="STANDARD_NC6")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("size", ["Standard_NC6s_v3", "STANDARD_ND96asr_v4", "standard_nv6"])
def test_sizes_with_gpus_are_known(home: Path, no_gpu: None, size: str, capsys: pytest.CaptureFixture[str]) -> None:
    cluster(vm_size=size)
    assert "has no GPU" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"vm_size": ""}, "'' is no vm_size"),
        ({"vm_size": "x y"}, "'x y' is no vm_size"),
        ({"vm_size": None}, "is no vm_size"),
        ({"vm_priority": "high"}, "vm_priority 'high'"),
        ({"min_nodes": 5}, "min_nodes 5 and max_nodes 4"),
        ({"max_nodes": 0}, "min_nodes 0 and max_nodes 0"),
        ({"max_nodes": -1}, "are numbers from 0"),
        ({"max_nodes": "4"}, "are numbers from 0"),
        ({"name": "a/b"}, "'a/b' is no name for a compute"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(home: Path, options: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput) as caught:
        cluster(**options)
    assert says in str(caught.value)
    assert not home.exists()


def test_only_a_configuration_makes_a_compute(home: Path) -> None:
    with pytest.raises(BadInput, match="a dict is no configuration"):
        ComputeTarget.create(Workspace(), "x", {})  # type: ignore[arg-type]
    with pytest.raises(Conflict, match="belongs to every workspace"):
        cluster("local")


def test_a_kind_must_fit(home: Path) -> None:
    assert isinstance(AmlCompute(Workspace(), "cpu-cluster"), AmlCompute)
    with pytest.raises(ComputeTargetException, match="is a LocalCompute, not an AmlCompute"):
        AmlCompute(Workspace(), "local")


def test_status_counts_the_runs_on_it(home: Path) -> None:
    made = cluster("busy", min_nodes=1)
    assert isinstance(made, AmlCompute)
    run = running(submit_cell("import time\ntime.sleep(600)", target="busy"))
    status = made.get_status()
    assert (status.current_node_count, status.node_state_counts.running_node_count) == (1, 1)
    assert status.node_state_counts.idle_node_count == 0
    assert [node["runId"] for node in made.list_nodes()] == [run.id]
    assert [one.id for one in made.get_active_runs()] == [run.id]
    assert [one.id for one in made.get_active_runs(status="Queued")] == []
    with pytest.raises(Conflict, match="1 runs use the compute 'busy'"):
        made.delete()
    run.cancel()
    finish(run)
    assert made.get_status().node_state_counts.idle_node_count == 1
    made.delete()
    assert compute.known(Workspace()) == ["cpu-cluster", "local"]
    assert made.provisioning_state == "Deleting"


def test_what_it_tells_of_itself(home: Path) -> None:
    made = cluster("mine", tags={"team": "a"}, description="d", idle_seconds_before_scaledown=60)
    assert isinstance(made, AmlCompute)
    told = made.serialize()
    assert (told["name"], told["type"], told["vmSize"]) == ("mine", "AmlCompute", "STANDARD_D2_V2")
    assert told["tags"] == {"team": "a"}
    assert told["scaleSettings"] == {"minNodeCount": 0, "maxNodeCount": 4, "nodeIdleTimeBeforeScaleDown": "PT60S"}
    assert told["status"]["nodeStateCounts"]["runningNodeCount"] == 0
    assert made.status.serialize()["allocationState"] == "Steady"
    assert made.created_on is not None
    status = made.get_status()
    assert AmlComputeStatus.deserialize(status.serialize()) == status
    again = ComputeTarget.deserialize(Workspace(), told)
    assert (again.name, again.type, again.tags, again.description) == ("mine", "AmlCompute", {"team": "a"}, "d")
    created = made.created_on
    made.update(max_nodes=8, min_nodes=2)
    assert (made.scale_settings.maximum_node_count, made.scale_settings.minimum_node_count) == (8, 2)
    assert made.created_on == created
    with pytest.raises(BadInput, match="do not fit"):
        made.update(min_nodes=9)


def test_waiting_ends_at_once(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = cluster("mine")
    made.wait_for_completion()
    assert capsys.readouterr().out == ""
    ComputeTarget(Workspace(), "mine").wait_for_completion(show_output=True)
    assert capsys.readouterr().out == WAITED
    made.delete()
    made.wait_for_completion(show_output=True, is_delete_operation=True)
    assert "Deleting" in capsys.readouterr().out
    ComputeTarget(Workspace(), "local").wait_for_completion(True)
    assert capsys.readouterr().out == "Succeeded\n"


def test_sizes_have_a_list(home: Path) -> None:
    sizes = {one["name"]: one for one in AmlCompute.supported_vmsizes(Workspace())}
    assert (sizes["Standard_NC6"]["gpus"], sizes["Standard_D2_V2"]["vCPUs"]) == (1, 2)


def test_the_command_line_s_side(home: Path) -> None:
    workspace = Workspace()
    compute.add(workspace, "mine", vm_size="STANDARD_D2_V2", max_nodes=2)
    with pytest.raises(Conflict, match="a compute 'mine' already"):
        compute.add(workspace, "mine")
    with pytest.raises(Conflict, match="a compute 'local' already"):
        compute.add(workspace, "local")
    with pytest.raises(Conflict, match="'mine'"):
        compute.add(workspace, "Mine")
    listed = {row["name"]: row for row in compute.rows(workspace)}
    assert listed["mine"] == {
        "name": "mine", "type": "AmlCompute", "backend": "local", "vm_size": "STANDARD_D2_V2", "max_nodes": 2,
        "built_in": False, "active": 0,
    }  # fmt: skip
    assert listed["local"]["built_in"] is True
    assert "CPU cores" in compute.check(workspace, "mine")["machine"]
    compute.remove(workspace, "mine")
    with pytest.raises(NotFound, match="no compute 'mine'"):
        compute.remove(workspace, "mine")
    with pytest.raises(Conflict, match="belongs to every workspace and stays"):
        compute.remove(workspace, "local")


def test_the_first_cluster_comes_back_as_it_was(home: Path) -> None:
    made = cluster("cpu-cluster", max_nodes=9)
    assert isinstance(made, AmlCompute)
    assert made.scale_settings.maximum_node_count == 9
    made.delete()
    assert AmlCompute(Workspace(), "cpu-cluster").record["max_nodes"] == 4


def test_records_are_private_json(home: Path) -> None:
    cluster("mine")
    path = home / "default/computes/mine.json"
    assert path.stat().st_mode & 0o777 == 0o600
    record = Named(Workspace().folder, "compute").get("mine")
    assert record is not None
    assert (record["type"], record["backend"], record["max_nodes"]) == ("AmlCompute", "local", 4)


def test_what_is_not_here_says_what_to_use(home: Path) -> None:
    ws = Workspace()
    config = RemoteCompute.attach_configuration("me", address="host")
    config.validate_configuration()
    with pytest.raises(BadInput, match="has an address"):
        RemoteCompute.attach_configuration("me").validate_configuration()
    made = AmlCompute(ws, "cpu-cluster")
    calls: list[Callable[[], Any]] = [
        lambda: ComputeTarget.attach(ws, "x", config),
        lambda: RemoteCompute.attach(ws, "x", "me", "host"),
        lambda: made.add_identity("SystemAssigned"),
        made.remove_identity,
        made.detach,
        lambda: AmlCompute.list_usages(ws),
        lambda: AmlCompute.list_quotas(ws),
        lambda: AmlCompute.update_quotas(ws, "x"),
    ]
    for call in calls:
        with pytest.raises(NotImplementedError, match=r"(use|ask for) "):
            call()


def test_a_configuration_takes_four_nodes_by_default() -> None:
    assert AmlComputeProvisioningConfiguration("STANDARD_D2_V2").max_nodes == 4
