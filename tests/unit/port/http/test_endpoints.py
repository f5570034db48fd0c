"""Where the port listens."""

import pytest

from agent.port.http.endpoints import (
    Endpoint,
    endpoints_of,
    reachable_addresses,
    source_of,
)

HERE = {"usb0": "10.12.194.1", "eth0": "192.168.1.7"}


def test_only_loopback_and_the_cable_go_without_tls() -> None:
    listen = ["127.0.0.1", "::1", "127.1.2.3", "0.0.0.0", "::", "192.168.1.7", "10.12.194.1", "usb0", "eth0", "usb1"]
    found, missing = endpoints_of(listen, HERE.get)
    assert [each for each in found if not each.is_tls] == [
        Endpoint("127.0.0.1", is_tls=False),
        Endpoint("::1", is_tls=False),
        Endpoint("127.1.2.3", is_tls=False),
        Endpoint("10.12.194.1", "usb0", is_tls=False),
    ]
    assert [each.address for each in found if each.is_tls] == [
        "0.0.0.0", "::", "192.168.1.7", "10.12.194.1", "192.168.1.7",
    ]  # fmt: skip
    assert missing == ["usb1"]


def test_a_listener_on_an_interface_is_bound_to_it() -> None:
    found, _ = endpoints_of(["usb0", "eth0"], HERE.get)
    assert [each.device for each in found] == ["usb0", "eth0"]


@pytest.mark.parametrize(
    ("listen", "addresses"),
    [
        (["127.0.0.1"], ["127.0.0.1"]),
        (["eth0", "usb1", "192.168.1.7"], ["192.168.1.7"]),
        (["0.0.0.0", "::1"], ["10.12.194.1", "192.168.1.7", "::1"]),
        ([], []),
    ],
)
def test_the_addresses_by_which_people_reach_the_hub(listen: list[str], addresses: list[str]) -> None:
    assert reachable_addresses(listen, HERE.get, lambda: ["dummy0", "usb0", "eth0"]) == addresses


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.168.1.7", "192.168.1.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("no address", "no address"),
    ],
)
def test_one_machine_is_one_source(address: str, source: str) -> None:
    assert source_of(address) == source
