"""Defect frequencies, against the orders that the bearing's laboratory published."""

import pytest

from agent.errors import Rejected
from lab.vibration.bearings import KNOWN, Part, find_bearing


@pytest.mark.parametrize(
    ("name", "inner", "outer", "cage", "element"),
    [
        # "Defect frequencies: (multiple of running speed in Hz)" on the bearing page of the CWRU data centre.
        ("6205-2RS", 5.4152, 3.5848, 0.39828, 4.7135),
        ("6203-2RS", 4.9469, 3.0530, 0.3817, 3.9874),
    ],
)
def test_orders_are_those_that_cwru_published(
    name: str, inner: float, outer: float, cage: float, element: float
) -> None:
    bearing = KNOWN[name]
    assert bearing.order(Part.INNER_RACE) == pytest.approx(inner, abs=2e-4)
    assert bearing.order(Part.OUTER_RACE) == pytest.approx(outer, abs=2e-4)
    assert bearing.cage_order == pytest.approx(cage, abs=2e-4)
    assert bearing.order(Part.ROLLING_ELEMENT) == pytest.approx(element, abs=1e-3)


def test_the_contact_angle_counts() -> None:
    # BPFO of the IMS set at 2,000 rpm is published as 236.4 Hz.
    assert KNOWN["ZA-2115"].order(Part.OUTER_RACE) * 2000 / 60 == pytest.approx(236.4, abs=0.1)


def test_each_part_passes_through_the_load_zone_at_its_own_rate() -> None:
    bearing = KNOWN["6205-2RS"]
    rates = {part: bearing.sideband_order(part) for part in Part}
    assert rates == {Part.OUTER_RACE: 0.0, Part.INNER_RACE: 1.0, Part.ROLLING_ELEMENT: bearing.cage_order}


def test_every_known_geometry_names_its_source() -> None:
    assert all(bearing.source for bearing in KNOWN.values())


@pytest.mark.parametrize("text", ["6205-2RS", "6205", "6205 2rs", "6205-ZZ", "6205-2Z"])
def test_a_type_is_found_without_its_seals(text: str) -> None:
    assert find_bearing(text) == KNOWN["6205-2RS"]


def test_a_geometry_is_taken_in_any_unit() -> None:
    millimetres = find_bearing("9, 7.94, 39.04, 0")
    assert millimetres.order(Part.OUTER_RACE) == pytest.approx(KNOWN["6205-2RS"].order(Part.OUTER_RACE), abs=1e-3)
    assert find_bearing("16,0.331,2.815,15.17").contact_angle_deg == 15.17


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("6999", "the geometry of a bearing 6999 is not known here"),
        ("9,7.94", "ELEMENTS,DIAMETER,PITCH"),
        ("nine,7.94,39", "ELEMENTS,DIAMETER,PITCH"),
        ("9,nan,39", "ELEMENTS,DIAMETER,PITCH"),
        ("9.5,7.94,39", "how many balls"),
        ("2,7.94,39", "how many balls"),
        ("9,39,7.94", "smaller than the pitch circle"),
        ("9,7.94,39,91", "contact angle"),
    ],
)
def test_what_is_no_bearing_is_refused(text: str, message: str) -> None:
    with pytest.raises(Rejected, match=message):
        find_bearing(text)
