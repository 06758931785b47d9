"""Workspaces: found by a configuration file, made, listed, chosen and removed; what they have, by name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jupyter_mlrun import Experiment, Workspace, settings
from jupyter_mlrun.errors import BadInput, Conflict, NotFound
from jupyter_mlrun.sdk import once, workspaces
from jupyter_mlrun.sdk.compute import AmlCompute, ComputeTarget
from jupyter_mlrun.sdk.dicts import Names
from tests.support import finish, running, submit_cell

CONFIG = {"subscription_id": "s-1", "resource_group": "g-1", "workspace_name": "team"}


@pytest.fixture(autouse=True)
def say_again() -> None:
    once.forget()


def put(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


class TestFromConfig:
    @pytest.mark.parametrize("place", [".azureml/config.json", "aml_config/config.json", "config.json",
                                       ".azureml/project.json", "project.json"])  # fmt: skip
    def test_a_folder_above_has_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
        put(tmp_path / "a" / place, CONFIG)
        (tmp_path / "a/b/c").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / "a/b/c")
        found = Workspace.from_config()
        assert (found.name, found.subscription_id, found.resource_group) == ("team", "s-1", "g-1")

    def test_the_nearest_one_counts(self, tmp_path: Path) -> None:
        put(tmp_path / ".azureml/config.json", CONFIG)
        put(tmp_path / "a/config.json", {"workspace_name": "near"})
        put(tmp_path / "a/.azureml/project.json", {"workspace_name": "nearer"})
        put(tmp_path / "a/.azureml/config.json", {"workspace_name": "nearest"})
        assert Workspace.from_config(tmp_path / "a").name == "nearest"
        assert Workspace.from_config(path=str(tmp_path / "a/config.json")).name == "near"
        assert Workspace.from_config(tmp_path / "a", _file_name="project.json").name == "nearer"

    def test_a_config_of_another_program_is_passed_by(self, tmp_path: Path) -> None:
        put(tmp_path / ".azureml/config.json", CONFIG)
        put(tmp_path / "a/config.json", {"model_type": "bert"})
        put(tmp_path / "a/project.json", "not json")
        assert Workspace.from_config(tmp_path / "a").name == "team"

    def test_no_file_is_the_default_workspace_and_says_so_once(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for _ in range(2):
            assert Workspace.from_config(tmp_path).name == "default"
        said = capsys.readouterr()
        assert said.err == f"no config.json in {tmp_path} or above: this is the workspace 'default'\n"
        assert said.out == ""

    def test_in_a_notebook_that_is_no_alarm(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import IPython

        monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=object()))
        Workspace.from_config(tmp_path)
        said = capsys.readouterr()
        assert said.out.startswith("no config.json in")
        assert said.err == "", "a notebook shows it in red"

    @pytest.mark.parametrize(
        "text",
        ["", "[]", "{}", '{"workspace_name": 3}', '{"workspace_name": ""}', "\x00", "[" * 100_000],
        ids=range(7),
    )
    def test_a_broken_file_is_named(self, tmp_path: Path, text: str) -> None:
        put(tmp_path / ".azureml/config.json", text)
        with pytest.raises(BadInput, match=r"config\.json is no workspace configuration"):
            Workspace.from_config(tmp_path)

    @pytest.mark.parametrize("name", ["../../etc", "a/b", ".agent", "x" * 300])
    def test_a_hostile_name_is_refused(self, tmp_path: Path, name: str) -> None:
        put(tmp_path / ".azureml/config.json", {"workspace_name": name})
        with pytest.raises(BadInput, match="no name for a workspace"):
            Workspace.from_config(tmp_path)

    def test_a_path_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match="does not exist"):
            Workspace.from_config(tmp_path / "none")

    def test_what_is_written_is_found(self, tmp_path: Path) -> None:
        Workspace("s-1", "g-1", "team").write_config(tmp_path)
        assert json.loads((tmp_path / ".azureml/config.json").read_text()) == CONFIG
        again = Workspace.from_config(tmp_path)
        assert (again, again.subscription_id) == (Workspace("team"), "s-1")
        assert Workspace("x1").write_config(tmp_path, file_name="other.json").name == "other.json"


class TestMaking:
    def test_by_the_reference_s_arguments(self, home: Path) -> None:
        made = Workspace(subscription_id="s", resource_group="g", workspace_name="team")
        assert (made.name, made.subscription_id, made.resource_group) == ("team", "s", "g")
        assert (Workspace().name, Workspace("mine").name, Workspace(name="mine").name) == ("default", "mine", "mine")
        assert Workspace("mine").subscription_id == "local"
        assert not home.exists()

    def test_create_get_and_list(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        made = Workspace.create("team", subscription_id="s", resource_group="g", location="eastus2", tags={"a": "b"})
        assert capsys.readouterr().out == f"workspace 'team' is in {home / 'team'}\n"
        found = Workspace.get("team")
        assert (found.subscription_id, found.resource_group, found.location) == ("s", "g", "eastus2")
        assert (found.tags, found.sku) == ({"a": "b"}, "basic")
        assert Workspace.list() == {"team": [made]}
        with pytest.raises(Conflict, match="exist_ok=True"):
            Workspace.create("team")
        assert Workspace.create("team", exist_ok=True).location == "eastus2"
        with pytest.raises(NotFound, match="did you mean 'team'"):
            Workspace.get("teem")
        assert (home / "team/workspace.json").stat().st_mode & 0o777 == 0o600

    @pytest.mark.parametrize("name", ["", "ab", "a b c", "-abc", "a/bc", "x" * 34, None, "abc\n"])
    def test_names_that_cannot_be(self, home: Path, name: str) -> None:
        with pytest.raises(BadInput, match="no name for a workspace"):
            Workspace.create(name)
        assert not home.exists()

    def test_update_is_kept(self, home: Path) -> None:
        told = Workspace("team").update(friendly_name="The team", description="of us", tags={"x": "y"})
        assert (told["friendlyName"], told["description"], told["tags"]) == ("The team", "of us", {"x": "y"})
        assert Workspace("team").update(description="new")["friendlyName"] == "The team"

    def test_damaged_words_keep_nobody_from_the_runs(self, home: Path) -> None:
        Workspace.create("team")
        put(home / "team/workspace.json", "{")
        assert (Workspace("team").location, Workspace("team").tags) == ("local", {})

    def test_details_have_the_reference_s_keys(self, home: Path) -> None:
        told = Workspace("team").get_details()
        assert (told["name"], told["workspaceid"], told["location"], told["sku"]) == ("team", "team", "local", "basic")


class TestNames:
    def test_what_a_workspace_has_by_name(self, home: Path) -> None:
        workspace = Workspace()
        run = submit_cell("pass", experiment="first")
        finish(run)
        assert list(workspace.experiments) == ["first"]
        assert next(iter(workspace.experiments["first"].get_runs())) == run
        assert sorted(workspace.compute_targets) == ["cpu-cluster", "local"]
        assert isinstance(workspace.compute_targets["cpu-cluster"], AmlCompute)
        assert list(workspace.datastores) == ["workspaceblobstore"]
        assert workspace.get_default_datastore().name == "workspaceblobstore"
        assert (len(workspace.datasets), len(workspace.models), len(workspace.environments)) == (0, 0, 0)

    def test_they_can_be_called_as_in_the_first_releases(self, home: Path) -> None:
        workspace = Workspace()
        assert list(workspace.compute_targets()) == ["cpu-cluster", "local"]
        assert workspace.datastores()["workspaceblobstore"].name == "workspaceblobstore"
        assert workspace.models() == {}

    @pytest.mark.parametrize(
        "kind", ["compute_targets", "datastores", "datasets", "experiments", "environments", "models"]
    )
    def test_a_name_that_is_not_there(self, home: Path, kind: str) -> None:
        names = getattr(Workspace(), kind)
        assert "nothing" not in names
        assert names.get("nothing") is None
        assert names.get("nothing", 7) == 7
        with pytest.raises(KeyError):
            names["nothing"]
        with pytest.raises(NotFound, match="'nothing'"):
            names["nothing"]
        assert not home.exists()

    def test_each_look_reads_anew(self) -> None:
        there = {"a": 1}
        names = Names("thing", lambda: dict(there), also="b is known too")
        first = names
        there["c"] = 3
        assert (list(first), len(first), "c" in first, bool(first)) == (["a", "c"], 2, True, True)
        assert (dict(first.items()), list(first.keys()), list(first.values())) == (there, ["a", "c"], [1, 3])
        assert (first == {"a": 1, "c": 3}, first.copy(), repr(first)) == (True, there, repr(there))
        assert list(reversed(first)) == ["c", "a"]
        with pytest.raises(KeyError) as caught:
            first[5]
        assert "no thing 5" in str(caught.value)
        assert "b is known too" in str(caught.value)

    def test_the_default_datastore_can_change(self, home: Path) -> None:
        from jupyter_mlrun.sdk.data import Datastore

        workspace = Workspace()
        Datastore.register_local(workspace, "other")
        workspace.set_default_datastore("other")
        assert Workspace().get_default_datastore().name == "other"
        with pytest.raises(NotFound, match="did you mean 'other'"):
            workspace.set_default_datastore("otter")

    def test_the_default_compute(self, home: Path) -> None:
        workspace = Workspace()
        found = workspace.get_default_compute_target("CPU")
        assert found is not None
        assert found.name == "cpu-cluster"
        assert workspace.get_default_compute_target("GPU") is None
        ComputeTarget.create(workspace, "gpus", AmlCompute.provisioning_configuration("STANDARD_NC6"))
        found = workspace.get_default_compute_target("gpu")
        assert found is not None
        assert found.name == "gpus"
        with pytest.raises(BadInput, match="neither 'CPU' nor 'GPU'"):
            workspace.get_default_compute_target("TPU")

    def test_a_run_of_another_workspace_is_not_here(self, home: Path) -> None:
        run = submit_cell("pass")
        finish(run)
        assert Workspace().get_run(run.id) == run
        with pytest.raises(NotFound, match="in workspace 'other'"):
            Workspace("other").get_run(run.id)


class TestCommandLine:
    def test_listed_with_their_runs(self, home: Path) -> None:
        finish(submit_cell("pass"))
        Workspace.create("team", show_output=False)
        rows = {row["name"]: row for row in workspaces.workspaces()}
        assert (rows["default"]["runs"], rows["default"]["active"], rows["default"]["current"]) == (1, 0, True)
        assert (rows["team"]["runs"], rows["team"]["current"]) == (0, False)

    def test_use_is_kept_beside_other_settings(self, home: Path) -> None:
        path = Path(os.environ["JUPYTER_CONFIG_DIR"]) / workspaces.CONFIG
        put(path, {"JupyterMLRun": {"max_concurrent": 3}, "Other": {"x": 1}})
        assert workspaces.use("team") == path
        assert (settings.load().workspace, settings.load().max_concurrent) == ("team", 3)
        assert json.loads(path.read_text())["Other"] == {"x": 1}
        assert Workspace().name == "team"
        with pytest.raises(BadInput, match="no name for a workspace"):
            workspaces.use("../x")

    def test_use_says_where_it_has_no_effect(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("JUPYTER_MLRUN_WORKSPACE", "mine")
        with pytest.raises(BadInput, match="another setting wins and names 'mine'"):
            workspaces.use("team")

    @pytest.mark.parametrize("text", ["{", "[]", '{"JupyterMLRun": 3}'])
    def test_use_leaves_a_broken_file_alone(self, home: Path, text: str) -> None:
        path = put(Path(os.environ["JUPYTER_CONFIG_DIR"]) / workspaces.CONFIG, text)
        with pytest.raises(BadInput, match="cannot be read"):
            workspaces.use("team")
        assert path.read_text() == text

    def test_remove(self, home: Path) -> None:
        Workspace.create("team", show_output=False)
        workspaces.remove("team")
        assert list(Workspace.list()) == []
        with pytest.raises(NotFound, match="no workspace 'team'"):
            workspaces.remove("team")

    def test_what_is_in_use_is_not_removed(self, home: Path) -> None:
        run = running(submit_cell("import time\ntime.sleep(600)"))
        with pytest.raises(Conflict, match="1 runs of workspace 'default' are active"):
            workspaces.remove("default", force=True)
        run.cancel()
        finish(run)
        with pytest.raises(Conflict, match=r"has 1 run\n") as caught:
            workspaces.remove("default")
        assert "--force" in str(caught.value)
        assert run.path.exists()

    def test_all_goes_with_force(self, home: Path) -> None:
        finish(submit_cell("pass"))
        locked = home / "default/trees/x"
        locked.mkdir(parents=True)
        put(locked / "file", "x").chmod(0o400)
        locked.chmod(0o500)
        workspaces.remove("default", force=True)
        assert not [path for path in home.iterdir() if "default" in path.name]


def test_what_is_not_here_says_what_to_use(home: Path) -> None:
    ws = Workspace()
    calls: list[Callable[[], Any]] = [
        ws.get_mlflow_tracking_uri, ws.get_default_keyvault, ws.delete, ws.update_dependencies, ws.list_keys,
        ws.sync_keys, ws.list_connections, Workspace.setup, lambda: ws.add_private_endpoint(None),
        lambda: ws.delete_private_endpoint_connection("x"), lambda: ws.diagnose_workspace({}),
        lambda: ws.set_connection("n", "c", "t", "a", "v"), lambda: ws.get_connection("x"),
        lambda: ws.delete_connection("x"), lambda: ws.service_context, lambda: ws.discovery_url,
        lambda: ws.private_endpoints, lambda: ws.images, lambda: ws.webservices, lambda: ws.linked_services,
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(NotImplementedError, match=r"Workspace\.\w+ (is not here|comes in a later release)"):
            call()
    assert Experiment(ws, "x").workspace == ws
