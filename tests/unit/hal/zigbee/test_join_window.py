"""Which key lets a sensor in."""

import pytest

pytest.importorskip("zigpy")

from hal.radio import InstallCode
from hal.zigbee import join_window

ADDRESS = "0x000d6f0017e0870c"
CODE = bytes.fromhex("83FED3407A939723A5C639B26916D505C3B5")
"""The example of the Zigbee Base Device Behaviour specification, 10.1.2."""
KEY = bytes.fromhex("66B6900981E1EE3CA4206B6B861C02BB")


def test_an_install_code_is_hashed_to_the_link_key() -> None:
    assert bytes(join_window._link_key(InstallCode(ADDRESS, CODE)).serialize()) == KEY


def test_link_key_is_used_unchanged() -> None:
    assert bytes(join_window._link_key(InstallCode(ADDRESS, KEY, is_link_key=True)).serialize()) == KEY


@pytest.mark.parametrize(
    "given",
    [
        InstallCode(ADDRESS, CODE[:-1] + b"\0"),
        InstallCode(ADDRESS, CODE[:5]),
        InstallCode(ADDRESS, KEY[:15], is_link_key=True),
        InstallCode(ADDRESS, CODE, is_link_key=True),
    ],
)
def test_invalid_install_code_is_refused_without_repeating_it(given: InstallCode) -> None:
    with pytest.raises(ValueError, match="check the install code against the label") as refused:
        join_window._link_key(given)
    assert given.code.hex() not in str(refused.value)
