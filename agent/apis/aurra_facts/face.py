"""The Aurra facts API on the hub's own fact store: its nine calls, its errors, and its credentials.

Owns the settings of each credential (`aurra-facts-settings.json`). Must never show one credential's facts to another,
nor ask a model. An error always has a `detail` that is text: the published client shows anything else as it is.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

import msgspec

from agent.apis.aurra_facts import answers, assumptions, translation, wire
from agent.apis.aurra_facts.translation import OutOfRange, WrongType
from agent.apis.base_face import BaseFace
from agent.apis.catalog import APIS
from agent.apis.clients import Clients
from agent.apis.face import (
    ApiAnswer,
    ApiClient,
    ApiProblem,
    ApiRefused,
    ApiRequest,
    ApiRoute,
    Limit,
    ProblemKind,
    bearer_token,
)
from agent.errors import Rejected, StorageFull
from agent.facts.model import Ending, FactRefused, FactVersion, UnknownFact
from agent.facts.retention import FactLimits, FactsFull
from agent.facts.service import FactService
from agent.facts.store import FactStore
from agent.foundation.json_store import JsonStore
from agent.foundation.lenient_json import DECODE_ERRORS
from agent.home.fact_recorder import FactRecorder
from agent.home.fact_texts import HUB_TENANT

if TYPE_CHECKING:
    from agent.apis.assembly import ApiParts

SPEC = APIS["aurra_facts"]

SETTINGS_FILE = "aurra-facts-settings.json"
SETTINGS_BYTES_MAX = 128 * 1024
"""32 clients with 32 categories of 64 characters each take 70 KiB."""

_LIMITS = MappingProxyType(
    {
        "POST /agent/memories": assumptions.WRITES,
        "POST /memories/{memory_id}/supersede": assumptions.WRITES,
        "PATCH /agent/settings": assumptions.WRITES,
        "POST /agent/query": assumptions.QUESTIONS,
    }
)

T = TypeVar("T")


class SettingsByClient(msgspec.Struct, frozen=True):
    """The content of the settings' file."""

    clients: dict[str, wire.FactSettings] = {}


class AurraFactsFace(BaseFace):
    """Implements `agent.apis.face.Face`.

    Attributes:
        facts: The store, for the local API too.
        recorder: Fills it with the hub's own facts.
    """

    def __init__(
        self,
        facts: FactService,
        *,
        clients: Clients,
        settings: JsonStore[SettingsByClient],
        recorder: FactRecorder,
    ) -> None:
        """Prepare; nothing is opened.

        Args:
            facts: The store.
            clients: The credential store.
            settings: The settings of each credential.
            recorder: Fills it with the hub's own facts.
        """
        self.facts = facts
        self._clients = clients
        self._settings = settings
        self.recorder = recorder
        calls = (
            ApiRoute("POST", "/agent/memories", self.add_memory),
            ApiRoute("GET", "/agent/memories", self.list_memories),
            ApiRoute("POST", "/agent/query", self.answer_question),
            ApiRoute("POST", "/memories/{memory_id}/supersede", self.supersede_memory),
            ApiRoute("GET", "/memories/{memory_id}/timeline", self.show_timeline),
            ApiRoute("GET", "/memories/{memory_id}/audit", self.show_audit),
            ApiRoute("GET", "/agent/settings", self.show_settings),
            ApiRoute("PATCH", "/agent/settings", self.change_settings),
            ApiRoute("GET", "/plan/status", self.show_plan),
        )
        super().__init__(SPEC.name, calls)

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops of the store, with the recorder, and of the settings."""
        return {"facts": self._run, "fact settings": self._load_settings}

    async def _run(self) -> None:
        """Keep the store open until cancelled; what the recorder has in memory is written before it is closed."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.facts.run())
                group.create_task(self.recorder.run())
        finally:
            await self.facts.close()

    async def _load_settings(self) -> None:
        await self._settings.load_patiently()

    async def authenticate(self, headers: Mapping[str, str]) -> ApiClient:
        """Return whose key the headers bring.

        Raises:
            ApiRefused: There is none, or it is not valid here.
        """
        secret = bearer_token(headers)
        client = self._clients.find(self.name, secret) if secret.startswith(SPEC.secret_prefix) else None
        if client is None:
            raise ApiRefused(_refusal(HTTPStatus.UNAUTHORIZED, "Not authenticated"))
        return client

    def limits_of(self, client: ApiClient, route: ApiRoute) -> Sequence[Limit]:
        """Return the limits that count a request."""
        del client
        further = _LIMITS.get(f"{route.method} {route.path}")
        return (assumptions.REQUESTS, further) if further else (assumptions.REQUESTS,)

    def refuse(self, problem: ApiProblem) -> ApiAnswer:
        """Return a problem in the shape of the API's errors."""
        if problem.kind is ProblemKind.NO_CREDENTIAL:
            return _refusal(HTTPStatus.UNAUTHORIZED, "Not authenticated")
        return _refusal(problem.status, problem.message, problem.headers)

    async def add_memory(self, request: ApiRequest) -> ApiAnswer:
        """Store a fact."""
        client = request.known_client
        with _refusals():
            body = _decode(request.body, wire.AddRequest)
            draft = translation.draft_of(body, request.caller.name)
            tenant = translation.tenant_of(client, body.tenant_id)
            version = await self.facts.use(lambda store, utc_ms: store.add(tenant, draft, utc_ms=utc_ms))
        wants = self._settings_of(client).auto_supersede_default if body.auto_supersede is None else body.auto_supersede
        skipped = wire.AutoSupersede(ran=False, skipped_reason=assumptions.SKIPPED_REASON) if wants else None
        return ApiAnswer(wire.AddAnswer(assumptions.CREATED_TEXT, version.fact.id, skipped))

    async def list_memories(self, request: ApiRequest) -> ApiAnswer:
        """Return the facts of one of the four views."""

        async def work(store: FactStore, utc_ms: int) -> list[wire.Memory]:
            shown = await store.shown(query, utc_ms=utc_ms)
            return [translation.memory_of(version, store.now_ms(utc_ms)) for version in shown]

        with _refusals():
            query = translation.list_query(request.known_client, request.query)
            return ApiAnswer(wire.MemoryList(await self.facts.use(work)))

    async def answer_question(self, request: ApiRequest) -> ApiAnswer:
        """Answer a question by quoting facts that contain its words."""
        client = request.known_client

        async def work(store: FactStore, utc_ms: int) -> wire.QueryAnswer:
            found = await store.found(query, body.question, utc_ms=utc_ms)
            now_ms = store.now_ms(utc_ms)
            answer = answers.answer_of(body.question, query, found, now_ms=now_ms, has_index=store.has_index)
            if not body.include_proof_tree:
                return answer
            quoted = [citation.memory_id for citation in answer.citations if citation.cited_by_llm]
            chains = {each: await store.chain(_owners(client), each) for each in quoted}
            return answers.with_proof(answer, query, chains, now_ms=now_ms)

        with _refusals():
            body = _decode(request.body, wire.QueryRequest)
            query = translation.question_query(client, body)
            # A question changes nothing, so the audit trail has no entry of it.
            return ApiAnswer(await self.facts.use(work), action="")

    async def supersede_memory(self, request: ApiRequest) -> ApiAnswer:
        """Let a fact end, or another replace it."""
        client, memory_id, author = request.known_client, request.parameters["memory_id"], request.caller.name

        async def work(store: FactStore, utc_ms: int) -> FactVersion:
            try:
                if body.superseded_by is not None:
                    return await store.supersede(
                        client.client_id, memory_id, body.superseded_by, author=author, utc_ms=utc_ms
                    )
                return await store.expire(client.client_id, memory_id, valid_to_ms or 0, author=author, utc_ms=utc_ms)
            except UnknownFact:
                _check_not_of_hub(client, await store.history([HUB_TENANT.owner], memory_id))
                raise

        with _refusals():
            body = _decode(request.body, wire.SupersedeRequest)
            if (body.superseded_by is None) == (body.valid_to is None):
                raise OutOfRange("send either superseded_by or valid_to: the first replaces, the second only ends")
            valid_to_ms = translation.instant_of("valid_to", body.valid_to)
            version = await self.facts.use(work)
        temporal = translation.temporal_of(version, version.known_from_ms)
        return ApiAnswer(
            wire.SupersedeAnswer(
                assumptions.SUPERSEDED_TEXT, version.fact.id, temporal.superseded_by, temporal.valid_to or ""
            )
        )

    async def show_timeline(self, request: ApiRequest) -> ApiAnswer:
        """Return the whole chain of a fact."""
        client, memory_id = request.known_client, request.parameters["memory_id"]

        async def work(store: FactStore, utc_ms: int) -> wire.Timeline:
            chain = await store.chain(_owners(client), memory_id)
            for version in chain:
                _check_visible(client, version)
            memories = [translation.memory_of(version, store.now_ms(utc_ms)) for version in chain]
            return wire.Timeline(memory_id, chain[0].fact.tenant.owner, len(memories), memories)

        with _refusals():
            return ApiAnswer(await self.facts.use(work))

    async def show_audit(self, request: ApiRequest) -> ApiAnswer:
        """Return what happened to a fact."""
        client, memory_id = request.known_client, request.parameters["memory_id"]

        async def work(store: FactStore, utc_ms: int) -> wire.Audit:
            version, endings = await store.history(_owners(client), memory_id)
            _check_visible(client, version)
            return translation.audit_of(version, endings, store.now_ms(utc_ms))

        with _refusals():
            return ApiAnswer(await self.facts.use(work))

    async def show_settings(self, request: ApiRequest) -> ApiAnswer:
        """Return the settings of the credential."""
        return ApiAnswer(_settings_answer(self._settings_of(request.known_client)))

    async def change_settings(self, request: ApiRequest) -> ApiAnswer:
        """Change the settings of the credential."""
        client = request.known_client

        def changed(stored: SettingsByClient) -> SettingsByClient:
            present = {record.client.client_id for record in self._clients.records}
            kept = {owner: each for owner, each in stored.clients.items() if owner in present}
            before = stored.clients.get(client.client_id, wire.FactSettings())
            return SettingsByClient({**kept, client.client_id: translation.changed_settings(before, change)})

        with _refusals():
            change = _decode(request.body, wire.SettingsChange)
            stored = await self._settings.commit(changed)
        return ApiAnswer(_settings_answer(stored.clients[client.client_id], assumptions.UPDATED_TEXT))

    async def show_plan(self, request: ApiRequest) -> ApiAnswer:
        """Return the bounds of the store."""
        owner = request.known_client.client_id
        usage = await self.facts.use(lambda store, utc_ms: store.usage(owner, utc_ms=utc_ms))
        return ApiAnswer(translation.plan_of(usage))

    def _settings_of(self, client: ApiClient) -> wire.FactSettings:
        """Return the settings of a credential.

        Raises:
            StorageFull: The file has not been read yet.
        """
        if self._settings.is_unread:
            raise StorageFull(f"try again in a minute, or check the disk: {SETTINGS_FILE} has not been read yet")
        return self._settings.value.clients.get(client.client_id, wire.FactSettings())


def _owners(client: ApiClient) -> list[str]:
    return [client.client_id, HUB_TENANT.owner]


def _check_visible(client: ApiClient, version: FactVersion) -> None:
    """Treat a fact about a zone or device that the credential may not see as unknown.

    Raises:
        UnknownFact: It may not.
    """
    if not translation.may_see(client, version.fact):
        raise UnknownFact("there is no such fact")


def _check_not_of_hub(client: ApiClient, history: tuple[FactVersion, Sequence[Ending]]) -> None:
    """Say that a fact of the hub, which the client may read, is not the client's to change.

    Raises:
        UnknownFact: The client may not even read it.
        ApiRefused: It may read it.
    """
    _check_visible(client, history[0])
    raise ApiRefused(_refusal(assumptions.HUB_FACT_STATUS, "change the hub instead: this is a fact of its own"))


def _settings_answer(settings: wire.FactSettings, status: str | None = None) -> wire.SettingsAnswer:
    return wire.SettingsAnswer(**msgspec.structs.asdict(settings), status=status)


def _refusal(status: HTTPStatus, detail: str, headers: Mapping[str, str] = MappingProxyType({})) -> ApiAnswer:
    return ApiAnswer({"detail": detail}, status, headers)


_STATUS_OF: Mapping[type[Exception], HTTPStatus] = MappingProxyType(
    {
        UnknownFact: assumptions.UNKNOWN_STATUS,
        FactRefused: assumptions.OUT_OF_RANGE_STATUS,
        OutOfRange: assumptions.OUT_OF_RANGE_STATUS,
        WrongType: assumptions.WRONG_TYPE_STATUS,
        FactsFull: assumptions.FULL_STATUS,
    }
)


@contextmanager
def _refusals() -> Iterator[None]:
    """Word what the store and the translation refuse.

    Raises:
        ApiRefused: In place of what was raised.
    """
    try:
        yield
    except Rejected as error:
        status = _STATUS_OF.get(type(error))
        if status is None:
            raise
        raise ApiRefused(_refusal(status, str(error))) from error


def _decode(body: bytes, kind: type[T]) -> T:
    """Return a request.

    Raises:
        WrongType: A field is missing or of another type.
        OutOfRange: It is no JSON object.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise WrongType(f"check the fields: {error}") from error
    except DECODE_ERRORS as error:
        raise OutOfRange(f"send a JSON object: {error}") from error


def build_face(parts: "ApiParts") -> AurraFactsFace:
    """Return the API with its store and its recorder; nothing is opened yet."""
    facts = FactService(
        parts.state_dir,
        clock=parts.clock,
        disk=parts.disk,
        worker=parts.slow_worker,
        random_bits=lambda bits: int.from_bytes(parts.random_bytes(bits // 8)),
        add_fault=parts.add_fault,
        limits=FactLimits(disk_free_bytes_min=parts.config.storage.disk_free_bytes_min),
    )
    settings = JsonStore(
        parts.state_dir / SETTINGS_FILE,
        SettingsByClient(),
        disk=parts.disk,
        worker=parts.worker,
        bytes_max=SETTINGS_BYTES_MAX,
        loss="each client of Aurra facts has the default settings",
    )
    recorder = FactRecorder(parts.home, facts, clock=parts.clock)
    return AurraFactsFace(facts, clients=parts.clients, settings=settings, recorder=recorder)
