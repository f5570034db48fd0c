"""A release that reaches a fleet in stages: the operator's decision after each look at the fleet. Pure.

The contract offers a release to batches (section 6.1), so each stage is a batch. Must never look into a hub: what a hub
reported is all that an operator knows.
"""

from collections.abc import Sequence

import msgspec

STAGES_PERCENT = (1, 10, 50, 100)
"""The share of the fleet that has been offered the release by each stage."""

FAILURE_RATE_MAX = 0.1
"""A rollout halts where more than this share of the hubs that came to an end has failed."""

ENDED_SHARE_MIN = 0.9
"""The next stage begins once this share of the hubs of all stages so far has come to an end."""


class Rollout(msgspec.Struct, frozen=True):
    """Where a rollout stands.

    Attributes:
        stage: The number of the last stage that was begun.
        is_halted: The release failed too often.
    """

    stage: int = 0
    is_halted: bool = False


def stage_of(number: int, hubs: int, stages: Sequence[int] = STAGES_PERCENT) -> int:
    """Return the stage in which a hub is offered the release; the first stage has at least one hub.

    Args:
        number: Of the hub, from 0.
        hubs: In the fleet.
        stages: Percentages, rising to 100.
    """
    return next(stage for stage, percent in enumerate(stages) if number < max(1, hubs * percent // 100))


def advance(
    rollout: Rollout, *, offered: int, succeeded: int, failed: int, stages: Sequence[int] = STAGES_PERCENT
) -> Rollout:
    """Return where a rollout stands after a look at the fleet.

    Args:
        rollout: Where it stood.
        offered: Hubs of the stages so far.
        succeeded: Of these, hubs that reported success.
        failed: Of these, hubs that reported a failure.
        stages: As in `stage_of`.
    """
    ended = succeeded + failed
    if rollout.is_halted or failed > FAILURE_RATE_MAX * max(1, ended):
        return msgspec.structs.replace(rollout, is_halted=True)
    if rollout.stage + 1 < len(stages) and ended >= ENDED_SHARE_MIN * offered:
        return msgspec.structs.replace(rollout, stage=rollout.stage + 1)
    return rollout
