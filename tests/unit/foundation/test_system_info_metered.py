from pathlib import Path

import pytest

from agent.foundation.system_info import default_route_interface, is_metered

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
LAN = "eth0\t0000A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n"


def default(interface: str, metric: int) -> str:
    return f"{interface}\t00000000\t0100A8C0\t0003\t0\t0\t{metric}\t00000000\t0\t0\t0\n"


def test_of_several_default_routes_the_lowest_metric_wins() -> None:
    assert default_route_interface(HEAD + default("wwan0", 700) + LAN + default("eth0", 100)) == "eth0"
    assert default_route_interface(HEAD + LAN) is None


@pytest.mark.parametrize(
    ("interface", "expected"),
    [
        *((name, True) for name in ("ppp0", "wwan0", "wwp0s20f0u2", "usb0", "rmnet_data0")),
        *((name, False) for name in ("eth0", "wlan0", "enp3s0", "wlp2s0")),
    ],
)
def test_a_modem_is_metered(tmp_path: Path, interface: str, expected: bool) -> None:
    table = tmp_path / "route"
    table.write_text(HEAD + LAN + default(interface, 0))
    assert is_metered(table) is expected


@pytest.mark.parametrize("content", [None, "", HEAD, HEAD + "eth0\tzz\t0\t0\t0\t0\tx\t0\n"])
def test_unknown_link_is_not_metered(tmp_path: Path, content: str | None) -> None:
    table = tmp_path / "route"
    if content is not None:
        table.write_text(content)
    assert is_metered(table) is False


def test_this_machine_answers() -> None:
    assert is_metered() in {True, False}
