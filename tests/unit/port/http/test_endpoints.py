"""Where the port listens."""

import pytest

from agent.port.http.endpoints import (
    Endpoint,
    endpoints_of,
    reachable_addresses,
    source_of,
    typed_addresses,
)

HERE = {
    "usb0": ["10.12.194.1", "fe80::1%usb0"],
    "eth0": ["192.168.1.7", "2001:db8::7", "fe80::7%eth0"],
    "wlan0": ["fe80::3%wlan0"],
}


def addresses_of(name: str) -> list[str]:
    return HERE.get(name, [])


def test_only_loopback_and_the_cable_go_without_tls() -> None:
    listen = ["127.0.0.1", "::1", "127.1.2.3", "0.0.0.0", "::", "192.168.1.7", "10.12.194.1", "usb0", "eth0", "usb1"]
    found, missing = endpoints_of(listen, addresses_of)
    assert [each for each in found if not each.is_tls] == [
        Endpoint("127.0.0.1", is_tls=False),
        Endpoint("::1", is_tls=False),
        Endpoint("127.1.2.3", is_tls=False),
        Endpoint("10.12.194.1", "usb0", is_tls=False),
        Endpoint("::", "usb0", is_tls=False),
    ]
    assert [each.address for each in found if each.is_tls] == [
        "0.0.0.0", "::", "192.168.1.7", "10.12.194.1", "192.168.1.7", "::",
    ]  # fmt: skip
    assert missing == ["usb1"]


def test_a_listener_on_an_interface_is_bound_to_it() -> None:
    found, _ = endpoints_of(["usb0", "eth0"], addresses_of)
    assert [(each.address, each.device) for each in found] == [
        ("10.12.194.1", "usb0"), ("::", "usb0"), ("192.168.1.7", "eth0"), ("::", "eth0"),
    ]  # fmt: skip


def test_an_interface_with_ipv6_alone_is_there() -> None:
    assert endpoints_of(["wlan0"], addresses_of) == ([Endpoint("::", "wlan0")], [])


@pytest.mark.parametrize(
    ("listen", "addresses"),
    [
        (["127.0.0.1"], ["127.0.0.1"]),
        (["eth0", "usb1", "192.168.1.7"], ["192.168.1.7", "2001:db8::7"]),
        (["0.0.0.0", "::1"], ["10.12.194.1", "192.168.1.7", "::1"]),
        (["::"], ["2001:db8::7"]),
        (["wlan0"], []),
        ([], []),
    ],
)
def test_the_addresses_by_which_people_reach_the_hub(listen: list[str], addresses: list[str]) -> None:
    assert reachable_addresses(listen, addresses_of, lambda: ["dummy0", "usb0", "eth0"]) == addresses


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


@pytest.mark.parametrize(
    ("listeners", "typed"),
    [
        ([Endpoint("127.0.0.1", is_tls=False)], ["http://127.0.0.1:8480"]),
        ([Endpoint("::1", is_tls=False)], ["http://[::1]:8480"]),
        (
            [Endpoint("192.168.1.7", "eth0"), Endpoint("::", "eth0")],
            ["https://192.168.1.7:8480", "https://[2001:db8::7]:8480"],
        ),
        # An address of the link is told only where there is nothing that a browser takes.
        (
            [Endpoint("10.12.194.1", "usb0", is_tls=False), Endpoint("::", "usb0", is_tls=False)],
            ["http://10.12.194.1:8480"],
        ),
        ([Endpoint("::", "wlan0")], ["https://[fe80::3%25wlan0]:8480"]),
        ([Endpoint("0.0.0.0")], ["https://10.12.194.1:8480", "https://192.168.1.7:8480"]),
        ([Endpoint("::")], ["https://[2001:db8::7]:8480"]),
    ],
)
def test_what_a_person_types(listeners: list[Endpoint], typed: list[str]) -> None:
    here = [(each, 8480) for each in listeners]
    assert typed_addresses(here, addresses_of, lambda: ["usb0", "eth0", "wlan0"]) == typed
