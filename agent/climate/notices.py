"""What the reasons of a decision tell people besides: a setback beyond recovery, a wrong emitter. Pure."""

from collections.abc import Sequence

import msgspec

from agent.climate import emitter
from agent.climate.coordinator import ClimateDecision
from agent.climate.settings import ClimateSettings


def with_notices(
    decision: ClimateDecision, settings: ClimateSettings, recovery_notices: Sequence[str]
) -> ClimateDecision:
    """Return a decision whose reasons have the notices of the zones' recoveries, else of their emitters."""
    notices = [
        recovery_notice or emitter.wrong_setting(zone.emitter, state.cycle, step_k=state.window.step_k)
        for recovery_notice, zone, state in zip(recovery_notices, settings.zones, decision.state.zones, strict=True)
    ]
    if not any(notices):
        return decision
    reasons = [
        f"{reason}; {notice}" if notice else reason for reason, notice in zip(decision.reasons, notices, strict=True)
    ]
    return msgspec.structs.replace(decision, reasons=tuple(reasons))
