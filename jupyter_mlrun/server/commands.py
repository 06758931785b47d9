"""What can be done to runs: stop, run again, tag, rename, register, delete.

Asks the agent; writes notes, models and new runs; removes runs.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

from jupyter_mlrun.agent import client
from jupyter_mlrun.errors import AgentError, BadInput, Conflict
from jupyter_mlrun.sdk.again import again
from jupyter_mlrun.sdk.run import Run
from jupyter_mlrun.sdk.submit import check_name
from jupyter_mlrun.server import api, api_runs
from jupyter_mlrun.server.base import Handler, places, problem_of
from jupyter_mlrun.server.runs import RunHandler
from jupyter_mlrun.store import runs
from jupyter_mlrun.worker import notes, process

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_mlrun.rundir import RunDir
    from jupyter_mlrun.server.service import Service
    from jupyter_mlrun.store.home import WorkspaceDir

ANSWER_SECONDS = 1.5  # that the agent has for an answer; what it was asked stands all the same
MUTE_SECONDS = 0.1  # … where it has just kept somebody waiting
AT_ONCE = 4  # runs of one question that are worked at


def stop(service: Service, run: RunDir, wait: float | None = None) -> None:
    """Ask for a run to be stopped; one that is over is no error.

    *wait*: seconds that the agent has for an answer; None: ``ANSWER_SECONDS``.

    Raises ``Conflict`` for a run of another machine, ``AgentError`` where the agent does not answer at once.
    """
    spec, state = runs.read_spec(run), runs.observe(run)
    if state.is_over:
        return
    by = spec.created_by
    if by.get("host_id", process.host_id()) != process.host_id():
        raise Conflict(f"run {spec.run_id} belongs to {by.get('host', 'another machine')}", hint="stop it there")
    client.ensure_agent(service.home)
    asked = {"kind": "stop", "path": str(run.path), "by": notes.user()}
    client.request(service.home, asked, wait=ANSWER_SECONDS if wait is None else wait)


def _tag(run: RunDir, body: dict[str, Any]) -> None:
    change: dict[str, Any] = {}
    if body.get("set"):
        change["tags"] = notes.texts(body["set"], "tags")
    if body.get("remove"):
        change["remove_tags"] = body["remove"]
    if not change:
        raise BadInput("no tag is set, and none removed", hint='{"set": {"name": "value"}, "remove": ["other"]}')
    notes.annotate(str(run.annotations), **change)


def _rename(run: RunDir, body: dict[str, Any]) -> None:
    change: dict[str, Any] = {}
    if "name" in body:
        name = body["name"]
        check_name(name)
        change["display_name"] = name
    if "description" in body:
        change["description"] = body["description"]
    if not change:
        raise BadInput("neither name nor description is given")
    notes.annotate(str(run.annotations), **change)


def _register(run: RunDir, body: dict[str, Any]) -> api_runs.ModelInfo:
    made = Run.at(run).register_model(
        body["name"], body.get("path"), tags=body.get("tags"), description=body.get("description")
    )
    return {"name": made.name, "version": made.version}


def _delete(place: WorkspaceDir, run: RunDir) -> None:
    state = runs.observe(run)
    if not state.is_over:
        raise Conflict(f"run {run.path.name} is {state.shown}", hint="stop it first")
    runs.trash(place, run)


class _Command(Handler):
    """The base of what is done to one run."""

    ACTIONS: ClassVar[dict[str, str]] = {"POST": "write"}

    async def do(self, work: Callable[..., Any], run_id: str, *given: Any) -> Any:
        """Have it done, by the threads for what takes its time, and let everybody see it."""
        place = self.workspace()
        run = await self.work(self.service.run, place, run_id)
        result = await self.service.commands.run(work, run, *given)
        await self.work(self.done, place, run, run_id)
        return result

    def done(self, place: WorkspaceDir, run: RunDir, run_id: str) -> None:
        """Something was done to this run."""
        self.service.shelf(place).again(run_id)
        self.service.hub.nudge(run)


class StopHandler(_Command):
    """``api/runs/RUN/stop``."""

    ACTIONS: ClassVar[dict[str, str]] = {"POST": "execute"}

    async def post(self, run_id: str) -> None:
        await self.do(lambda run: stop(self.service, run), run_id)
        self.answer({"id": run_id}, 202)


class RerunHandler(_Command):
    """``api/runs/RUN/rerun``."""

    ACTIONS: ClassVar[dict[str, str]] = {"POST": "execute"}

    async def post(self, run_id: str) -> None:
        made = await self.do(lambda run, body: again(Run.at(run), body).id, run_id, self.body(api.RerunBody))
        self.answer({"id": made}, 201)


class TagHandler(_Command):
    """``api/runs/RUN/tag``."""

    async def post(self, run_id: str) -> None:
        await self.do(_tag, run_id, self.body(api.TagBody))
        self.answer({"id": run_id})


class RenameHandler(_Command):
    """``api/runs/RUN/rename``."""

    async def post(self, run_id: str) -> None:
        await self.do(_rename, run_id, self.body(api.RenameBody))
        self.answer({"id": run_id})


class RegisterHandler(_Command):
    """``api/runs/RUN/register``."""

    async def post(self, run_id: str) -> None:
        self.answer(await self.do(_register, run_id, self.body(api.RegisterBody)), 201)


class OneRunHandler(RunHandler, _Command):
    """``api/runs/RUN``: GET and DELETE."""

    ACTIONS: ClassVar[dict[str, str]] = {"GET": "read", "DELETE": "write"}

    async def delete(self, run_id: str) -> None:
        place = self.workspace()
        await self.do(lambda run: _delete(place, run), run_id)
        self.answer({"id": run_id})


class _Many(Handler):
    """The base of what is done to several runs: each succeeds or fails by itself, a few at a time."""

    async def each(self, work: Callable[[WorkspaceDir, RunDir], None]) -> None:
        """Answer with what became of each, in the order in which they were named."""
        wanted = list(dict.fromkeys(self.body(api.ManyBody)["runs"]))
        place, turns = self.workspace(), asyncio.Semaphore(AT_ONCE)

        async def one(run_id: str) -> api.OneDone:
            async with turns:
                return await self._one(place, run_id, work)

        self.answer({"runs": await asyncio.gather(*map(one, wanted))})

    async def _one(self, place: WorkspaceDir, run_id: str, work: Callable[[WorkspaceDir, RunDir], None]) -> api.OneDone:
        try:
            await self.service.commands.run(_do, self.service, place, run_id, work)
        except Exception as error:  # the others are none the worse for it
            found = problem_of(error)[1]
            if found["kind"] == "Internal":
                self.log.error("%s\n%s", found["hint"], places(error))  # noqa: TRY400 -- not what was sent
            return {"id": run_id, "error": found}
        return {"id": run_id, "error": None}


def _do(service: Service, place: WorkspaceDir, run_id: str, work: Callable[[WorkspaceDir, RunDir], None]) -> None:
    run = service.run(place, run_id)
    try:
        work(place, run)
    finally:
        service.shelf(place).again(run_id)
        service.hub.nudge(run)


class _StopEach:
    """Stops one run after another; once the agent has not answered, it is given little time for the rest."""

    def __init__(self, service: Service) -> None:
        self.service, self.wait = service, ANSWER_SECONDS

    def __call__(self, place: WorkspaceDir, run: RunDir) -> None:  # noqa: ARG002 -- as `_Many` calls it
        try:
            stop(self.service, run, self.wait)
        except AgentError:
            self.wait = MUTE_SECONDS
            raise


class StopManyHandler(_Many):
    """``api/runs/stop``."""

    ACTIONS: ClassVar[dict[str, str]] = {"POST": "execute"}

    async def post(self) -> None:
        await self.each(_StopEach(self.service))


class DeleteManyHandler(_Many):
    """``api/runs/delete``."""

    ACTIONS: ClassVar[dict[str, str]] = {"POST": "write"}

    async def post(self) -> None:
        await self.each(_delete)
