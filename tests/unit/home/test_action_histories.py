"""Random histories of pushes, cancels, people, time and restarts: the real service and the model always agree."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.climate.model import Mode
from agent.climate.requests import HoldRequest, ResumeRequest
from agent.home.action_admission import ActionRefused, ActionRequest, OnConflict
from agent.home.actions import Command
from tests.unit.home.action_model import ModelRefusedError, ModelZone
from tests.unit.home.home_bench import HomeBench

MINUTE_MS = 60_000
VALUES_C = st.integers(120, 240).map(lambda tenths: tenths / 10)
STARTS = st.one_of(st.none(), st.integers(-2, 300), st.sampled_from([43_200, 43_201]))
LENGTHS = st.one_of(st.none(), st.none(), st.integers(-1, 300), st.sampled_from([43_200, 43_201]))


class ActionHistories(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self._directory = tempfile.TemporaryDirectory()
        self._loop = asyncio.new_event_loop()
        self.bench = HomeBench(Path(self._directory.name))
        self.model = ModelZone()
        self.ids: list[str] = []
        self._loop.run_until_complete(self.bench.home.actions.load())

    @property
    def now(self) -> int:
        assert self.bench.clock.utc is not None
        return self.bench.clock.utc

    @rule(
        command=st.sampled_from([Command.HEAT, Command.HEAT, Command.IDLE, Command.FOLLOW_SCHEDULE]),
        value_c=VALUES_C,
        start=STARTS,
        length=LENGTHS,
        strategy=st.sampled_from(OnConflict),
    )
    def push(
        self, command: Command, value_c: float, start: int | None, length: int | None, strategy: OnConflict
    ) -> None:
        start_ms = None if start is None else self.now + start * MINUTE_MS
        end_ms = None if length is None else (self.now if start_ms is None else start_ms) + length * MINUTE_MS
        expected = found = ""
        try:
            self.model.push(command, value_c, start_ms, end_ms, strategy, self.now)
        except ModelRefusedError as error:
            expected = str(error)
        request = ActionRequest(
            zone_id="living",
            command=command,
            heat_setpoint_c=value_c if command is Command.HEAT else None,
            start_utc_ms=start_ms,
            end_utc_ms=end_ms,
            on_conflict=strategy,
            by="amps",
        )
        try:
            self.ids.append(self._loop.run_until_complete(self.bench.home.actions.push(request)).action_id)
        except ActionRefused as error:
            found = error.refusal.value
        assert found == expected

    @precondition(lambda self: self.ids)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.ids) - 1))
        try:
            self._loop.run_until_complete(self.bench.home.actions.cancel(self.ids[number]))
            is_done = True
        except ActionRefused:
            is_done = False
        assert is_done == self.model.cancel(number)

    @rule()
    def carry_out(self) -> None:
        self.model.carry_out(self.now)
        self._loop.run_until_complete(self.bench.home.actions.carry_out())

    @rule(minutes=st.one_of(st.integers(1, 400), st.just(2000)))
    def wait(self, minutes: int) -> None:
        self.bench.advance(minutes * 60.0)

    @rule(value_c=VALUES_C, minutes=st.one_of(st.none(), st.integers(1, 200)))
    def person_holds(self, value_c: float, minutes: int | None) -> None:
        request = HoldRequest(mode=Mode.HEAT, heat_setpoint_c=value_c, for_s=(minutes or 0) * 60.0)
        self.bench.home.thermostats.apply("living", request, by="anna")
        self.model.setpoint_c(self.now)
        self.model.hold(value_c, None if minutes is None else self.now + minutes * MINUTE_MS)

    @rule()
    def person_resumes(self) -> None:
        self.bench.home.thermostats.apply("living", ResumeRequest(), by="anna")
        self.model.layers.clear()

    @rule(minutes=st.one_of(st.just(0), st.integers(1, 400)), is_reboot=st.booleans())
    def restart(self, minutes: int, *, is_reboot: bool) -> None:
        self._loop.run_until_complete(self.bench.climate.save())
        self.bench.clock.advance(minutes * 60.0)
        if is_reboot:
            self.bench.clock.boot_id += "'"
        self.bench.start()
        self._loop.run_until_complete(self.bench.home.actions.load())

    @invariant()
    def agree(self) -> None:
        if not hasattr(self, "bench"):
            return
        zone = self.bench.home.thermostats.get("living")
        assert (None if zone.mode is Mode.OFF else zone.heat_setpoint_c) == self.model.setpoint_c(self.now)
        kept = {each.action_id: each.state.value for each in self.bench.home.actions._store.value.actions}
        assert kept == {self.ids[each.number]: each.state for each in self.model.actions}

    def teardown(self) -> None:
        if hasattr(self, "_loop"):
            self._loop.close()
            self._directory.cleanup()


ActionHistories.TestCase.settings = settings(deadline=None, max_examples=40, stateful_step_count=25)
TestActionHistories = ActionHistories.TestCase
