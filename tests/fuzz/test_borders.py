"""Every border of the agent takes a few hundred hostile inputs, or refuses them in words: nothing else comes out."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.borders import BORDERS, Rig, rig

EXAMPLES = 200


@pytest.fixture(scope="module")
def shared() -> Iterator[Rig]:
    with rig() as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("name", BORDERS)
def test_border(name: str, shared: Rig) -> None:
    border = BORDERS[name]

    @settings(
        max_examples=EXAMPLES // border.cost, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
    )
    @given(st.data())
    def take(data: st.DataObject) -> None:
        border.take(shared, data.draw(border.inputs))

    take()
