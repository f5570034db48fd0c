"""Each value of the climate file is changed to each of a few extremes: the controller starts, and heats a cold home."""

import copy
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests.fuzz.climate_borders import KEPT, heated_steps

EXTREMES = (None, "", True, 0, -1, 2**63 - 1, -(2**63), 1e308, -1e308)
HEATED_STEPS_MIN = 3
"""Of a dozen: doubts about the sensor, and rests of the equipment, may take a part of the two hours."""


def paths(node: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return where each value of a document is."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from paths(value, (*path, key))


@pytest.mark.slow
@pytest.mark.parametrize("boot", ["b", "next"], ids=["same boot", "next boot"])
def test_no_value_keeps_the_controller_from_heating(boot: str) -> None:
    cold, changed = [], 0
    for path in paths(KEPT):
        for value in EXTREMES:
            document = node = copy.deepcopy(KEPT)
            for key in path[:-1]:
                node = node[key]
            node[path[-1]] = value
            try:
                heated = heated_steps(msgspec.json.encode(document), boot)
            except Exception as error:
                raise AssertionError(f"{path} = {value!r}") from error
            if heated is not None:
                changed += 1
                # What people set may well be colder: that is theirs.
                if heated < HEATED_STEPS_MIN and "program" not in path:
                    cold.append((path, value, heated))
    assert not cold
    assert changed > 500
