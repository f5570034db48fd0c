"""The handlers of settings and diagnostics: the effect, and what a crash leaves of it."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from agent.commands.handlers import CommandOutcome, ConfigUpdateHandler, DiagnosticsHandler
from agent.commands.lifecycle import CommandEvent, CommandRecord, CommandState
from agent.errors import CloudUnavailable, CommandInvalid, SettingInvalid, StorageFull


def executing(type_: str, payload: Any = None, **changes: Any) -> CommandRecord:  # noqa: ANN401 (any JSON)
    record = CommandRecord("c1", type_, "boot-1", 0, CommandState.EXECUTING, payload, started_boot_id="boot-1")
    return msgspec.structs.replace(record, **changes)


class Settings:
    """Settings that can be told what to be."""

    def __init__(self) -> None:
        self.in_force: dict[str, Any] = {"timezone": "UTC"}
        self.by = ""
        self.is_reachable = True
        self.is_kept = True

    def check(self, changes: Mapping[str, Any]) -> None:
        if "timezone" not in changes:
            raise SettingInvalid("no time zone")

    async def apply(self, changes: Mapping[str, Any], *, command_id: str) -> Mapping[str, Any]:
        self.in_force |= changes
        if not self.is_kept:
            raise StorageFull("no room")
        self.by = command_id
        return self.in_force

    def applied(self, command_id: str) -> Mapping[str, Any] | None:
        return self.in_force if command_id == self.by else None

    async def refresh(self) -> Mapping[str, Any]:
        if not self.is_reachable:
            raise CloudUnavailable("no route")
        return self.in_force


async def test_config_update_returns_all_settings() -> None:
    handler = ConfigUpdateHandler(Settings())
    outcome = await handler.execute(executing("config_update", {"timezone": "Europe/Brussels"}))
    assert outcome == CommandOutcome(CommandEvent.SUCCEED, result={"timezone": "Europe/Brussels"})


async def test_config_update_that_is_not_durable_is_not_acknowledged() -> None:
    settings = Settings()
    settings.is_kept = False
    record = executing("config_update", {"timezone": "Asia/Kolkata"})
    with pytest.raises(StorageFull):
        await ConfigUpdateHandler(settings).execute(record)
    outcome = await ConfigUpdateHandler(settings, is_volatile=lambda: True).execute(record)
    assert outcome.event is CommandEvent.FAIL
    assert outcome.error_message == "in force until the next restart only: no room; send it again"


async def test_empty_config_update_fetches_the_clouds_settings() -> None:
    settings = Settings()
    handler = ConfigUpdateHandler(settings)
    handler.check({})
    assert (await handler.execute(executing("config_update"))).result == {"timezone": "UTC"}
    settings.is_reachable = False
    failed = await handler.execute(executing("config_update", {}))
    assert (failed.event, failed.error_message) == (CommandEvent.FAIL, "settings could not be fetched: no route")
    with pytest.raises(SettingInvalid):
        handler.check({"location": {}})


async def test_crashed_config_update_is_reconciled_by_the_settings_command_id() -> None:
    settings = Settings()
    handler = ConfigUpdateHandler(settings)
    record = executing("config_update", {"timezone": "Asia/Kolkata"})
    assert await handler.reconcile(record) is None
    await handler.execute(record)
    assert await handler.reconcile(record) == CommandOutcome(CommandEvent.SUCCEED, result={"timezone": "Asia/Kolkata"})
    assert await handler.reconcile(executing("config_update", {})) is None


async def test_diagnostics_returns_the_requested_sections_and_their_problems() -> None:
    def broken() -> object:
        raise OSError("no such tree")

    handler = DiagnosticsHandler({"memory": lambda: {"free": 1}, "wear": broken, "link": lambda: "up"})
    whole = await handler.execute(executing("diagnostics"))
    assert whole.result == {"memory": {"free": 1}, "wear": {"problem": "no such tree"}, "link": "up"}
    part = await handler.execute(executing("diagnostics", {"sections": ["link"]}))
    assert part.result == {"link": "up"}
    with pytest.raises(CommandInvalid):
        handler.check({"sections": ["fuel"]})
    assert await handler.reconcile(executing("diagnostics")) is None


async def test_failing_section_does_not_affect_the_others() -> None:
    def broken() -> object:
        raise RecursionError("maximum recursion depth exceeded")

    handler = DiagnosticsHandler({"settings": broken, "link": lambda: "up"})
    whole = await handler.execute(executing("diagnostics"))
    assert whole.result == {
        "settings": {"problem": "RecursionError: maximum recursion depth exceeded"},
        "link": "up",
    }
