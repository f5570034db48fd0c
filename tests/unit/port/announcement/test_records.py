"""What is announced in the network: nothing of loopback, and each service where it can be reached."""

from agent.port.announcement.records import HUB_TYPE, ServiceRecord, instance_name, services_of
from agent.port.http.endpoints import Endpoint

FINGERPRINT = ":".join(["AB", "CD"] * 16)
TLS = ("version=1.2.3", "path=/", "fingerprint=AB:CD:AB:CD:AB:CD:AB:CD")
PLAIN = ("version=1.2.3", "path=/")


def services(*listeners: tuple[Endpoint, int]) -> list[ServiceRecord]:
    found = services_of(
        listeners,
        version="1.2.3",
        fingerprint=FINGERPRINT,
        device_of=lambda address: "eth0" if address == "192.168.1.20" else "",
    )
    return list(found)


def test_loopback_is_not_announced() -> None:
    assert services((Endpoint("127.0.0.1", is_tls=False), 8480), (Endpoint("127.0.0.2", "lo"), 8480)) == []
    assert services((Endpoint("::1", is_tls=False), 8480)) == []


def test_a_listener_is_announced_on_its_own_interface() -> None:
    assert services((Endpoint("192.168.1.20"), 8480)) == [
        ServiceRecord(HUB_TYPE, 8480, "eth0", TLS),
        ServiceRecord("_https._tcp", 8480, "eth0", TLS),
    ]


def test_the_cable_is_plain_and_has_no_fingerprint() -> None:
    assert services((Endpoint("10.12.194.1", "usb0", is_tls=False), 8480)) == [
        ServiceRecord(HUB_TYPE, 8480, "usb0", PLAIN),
        ServiceRecord("_http._tcp", 8480, "usb0", PLAIN),
    ]


def test_a_listener_on_all_addresses_takes_the_place_of_those_on_one() -> None:
    everywhere = (Endpoint("0.0.0.0"), 8480)
    assert services((Endpoint("192.168.1.20", "eth0"), 8480), everywhere) == [
        ServiceRecord(HUB_TYPE, 8480, "", TLS),
        ServiceRecord("_https._tcp", 8480, "", TLS),
    ]


def test_one_name_stands_for_one_port_on_an_interface() -> None:
    """With `port = 0` the listeners for IPv4 and IPv6 have ports of their own."""
    found = services((Endpoint("192.168.1.20", "eth0"), 40001), (Endpoint("::", "eth0"), 40002))
    assert [(each.type, each.port) for each in found] == [(HUB_TYPE, 40001), ("_https._tcp", 40001)]


def test_listeners_of_two_interfaces_stay_apart() -> None:
    found = services((Endpoint("192.168.1.20"), 8480), (Endpoint("10.12.194.1", "usb0", is_tls=False), 8480))
    assert [(each.type, each.device) for each in found] == [
        (HUB_TYPE, "eth0"), (HUB_TYPE, "usb0"), ("_http._tcp", "usb0"), ("_https._tcp", "eth0"),
    ]  # fmt: skip


def test_a_long_name_fits_and_stays_text() -> None:
    assert instance_name("hub") == "climahub hub"
    name = instance_name("ü" * 60)
    assert len(name.encode()) <= 63
    assert name.encode().decode() == name
