"""The address of the page in the house, and its picture."""

from http import HTTPStatus

import pytest

from agent.local.port import PortReport, handlers, sheet_address, sheet_addresses
from agent.local.routes import Answer, Caller, LocalRequest, RequestRefused, Role

ADDRESS = "https://192.168.1.7:8480"


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        ([], ""),
        (["http://127.0.0.1:8480", "http://[::1]:8480", "http://localhost:8480"], ""),
        (["http://127.0.0.1:8480", ADDRESS, "https://[fd00::1]:8480"], ADDRESS),
        (["https://[fd00::1]:8480"], "https://[fd00::1]:8480"),
    ],
)
def test_the_address_of_the_sheet_is_the_first_that_other_machines_can_open(
    addresses: list[str], expected: str
) -> None:
    assert sheet_address(addresses) == expected


@pytest.mark.parametrize(
    ("addresses", "listed"),
    [
        ([], []),
        (["http://127.0.0.1:8480", ADDRESS, "https://[fd00::1]:8480"], [ADDRESS, "https://[fd00::1]:8480"]),
        (["http://127.0.0.2:8480", ADDRESS], [ADDRESS]),
        (["http://127.0.0.1:8480", "http://[::1]:8480"], ["http://127.0.0.1:8480", "http://[::1]:8480"]),
    ],
)
def test_the_sheet_lists_this_machine_alone_only_where_there_is_nothing_else(
    addresses: list[str], listed: list[str]
) -> None:
    assert sheet_addresses(addresses) == listed


async def picture_of(address: str) -> Answer:
    report = PortReport([address] if address else [], [], sheet_address=address)
    answered = await handlers(lambda: report)["get_port_qr"](LocalRequest({}, Caller("", Role.VIEWER, "socket")))
    assert isinstance(answered, Answer)
    return answered


async def test_the_picture_is_a_square_with_a_white_ground() -> None:
    answered = await picture_of(ADDRESS)
    assert (answered.content_type, answered.status) == ("image/svg+xml", HTTPStatus.OK)
    assert isinstance(answered.document, bytes)
    # Version 2, 25 modules (ISO/IEC 18004), and 4 light ones at each side.
    assert answered.document.startswith(b'<svg xmlns="http://www.w3.org/2000/svg" width="264" height="264"')
    assert b'fill="#fff"' in answered.document


async def test_a_page_of_this_machine_alone_has_no_picture_and_a_remedy() -> None:
    with pytest.raises(RequestRefused, match=r"port\.listen") as caught:
        await picture_of("")
    assert caught.value.status is HTTPStatus.NOT_FOUND
