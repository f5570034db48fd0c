"""The whole API under generated requests, in short; `tests/bench/soak_port.py` does it at length."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.local.routes import ROUTES, Role
from tests.fuzz.port_fuzz import FuzzedHub, fuzz, fuzzed_hub, operations

EXAMPLES = 12
"""Of each operation."""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FuzzedHub]:
    with fuzzed_hub(tmp_path) as running:
        yield running


@pytest.mark.slow
def test_an_owner_can_ask_anything(hub: FuzzedHub) -> None:
    found = operations(hub)
    # The stream has no end.
    assert {f"{route.method} {route.path}" for route in ROUTES} - set(found) == {"GET /v1/events"}
    assert sum(fuzz(hub, each, examples=EXAMPLES, first_seed=1) for each in found.values()) > 5 * len(found)


@pytest.mark.slow
def test_a_viewer_changes_nothing(hub: FuzzedHub) -> None:
    before = hub.programs()
    for each in operations(hub).values():
        if each.method != "get":
            fuzz(hub, each, examples=3, first_seed=1, role=Role.VIEWER)
    assert hub.programs() == before
