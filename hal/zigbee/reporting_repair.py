"""Reads the reporting rules of sensors back that do not report what they promised, and has lost ones given again.

What a sensor promised, and when it was heard, is `registry`'s; what counts as overdue is decided in `health`.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from hal.interface import SensorKind
from hal.zigbee import reporting_health
from hal.zigbee.attribute_decoder import AttributeDecoder
from hal.zigbee.clusters import AttributeCandidate
from hal.zigbee.device_registry import DeviceRegistry
from hal.zigbee.device_setup import NO_ANSWER_ERRORS, read_reporting
from hal.zigbee.join_window import eui64
from hal.zigbee.radio_events import RadioEvents

_log = logging.getLogger(__name__)


class ReportingRepair:
    """Looks after the rules of one life of the radio.

    Attributes:
        app: zigpy's; `None` before it is there.
    """

    def __init__(
        self,
        ears: AttributeDecoder,
        registry: DeviceRegistry,
        outlet: RadioEvents,
        *,
        spawn: Callable[[Coroutine[Any, Any, None], str], None],
        at_once: asyncio.Semaphore,
        set_up_again: Callable[[Any, str], None],
    ) -> None:
        """Prepare.

        Args:
            ears: Knows where a kind is taken from.
            registry: Knows what was promised.
            outlet: Told what was found.
            spawn: Does something beside all else.
            at_once: How many sensors are asked at the same time.
            set_up_again: Gives a device its rules.
        """
        self._ears = ears
        self._registry = registry
        self._outlet = outlet
        self._spawn = spawn
        self._at_once = at_once
        self._set_up_again = set_up_again
        self._under_way: set[str] = set()
        self.app: Any = None

    def look(self, ieee: str) -> None:
        """Read the rules of a device back, once an hour at most."""
        device = self.app.devices.get(eui64(ieee)) if self.app is not None else None
        if device is None or ieee in self._under_way or not self._registry.is_look_due(ieee):
            return
        self._under_way.add(ieee)
        self._spawn(self._restore(device, ieee), f"rules of {ieee}")

    async def _restore(self, device: Any, ieee: str) -> None:  # noqa: ANN401 - zigpy is untyped here
        kinds = self._registry.overdue(ieee)
        try:
            async with self._at_once:
                intervals_s = await read_reporting(device, self._taken(device, ieee, kinds))
        except NO_ANSWER_ERRORS as error:
            _log.info("%s does not tell its reporting rules: %s", ieee, error)
            if self._registry.is_online(ieee):
                self._complain(ieee, kinds, reporting_health.unanswered(kinds))
            return
        finally:
            self._under_way.discard(ieee)
        if lost := [kind for kind, longest_s in intervals_s.items() if not longest_s]:
            self._complain(ieee, lost, reporting_health.lost_rules(lost))
            self._set_up_again(device, ieee)
            return
        self._registry.promised(ieee, intervals_s)
        if late := [kind for kind in self._registry.overdue(ieee) if kind in intervals_s]:
            self._complain(ieee, late, reporting_health.keeps_rules(late))
            # It reports by a rhythm of its own: the next time it is this one that counts.
            self._registry.relax(ieee, late)

    def _taken(self, device: Any, ieee: str, kinds: Sequence[SensorKind]) -> Sequence[AttributeCandidate]:  # noqa: ANN401
        """Return where some kinds of a device are taken from."""
        known = self._registry.get(ieee)
        ranks = known.ranks if known is not None else {}
        return [
            each
            for each in self._ears.candidates(device)
            if each.channel.kind in kinds and ranks.get(each.channel.kind) == each.channel.rank
        ]

    def _complain(self, ieee: str, kinds: Sequence[SensorKind], text: str) -> None:
        self._registry.looked(ieee, dict.fromkeys(kinds, text))
        self._outlet.step(f"{ieee}: {text}")
