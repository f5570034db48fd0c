"""Runs a hub in a network of its own, with a laptop on a USB cable and one in the local network; tells what each sees.

python -m tests.integration.port_namespace DIRECTORY, in a new network namespace, as root. Each laptop is a network
namespace too, and asks by this program: python -m tests.integration.port_namespace URL [CODE].
"""

import asyncio
import http.client
import json
import ssl
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent.local.routes import Role
from tests.integration.conftest import until
from tests.integration.network_namespace import new_namespace
from tests.integration.port_rig import PortRig, open_port

CABLE, LAN = "10.12.194.1", "192.0.2.20"
LAN_IPV6, LAPTOP_IPV6 = "fd00:7::20", "fd00:7::99"
LINK_IPV6 = "fe80::20"
LISTEN = 'port = 8480\nlisten = ["127.0.0.1", "usb0", "eth7"]\n'


TIMEOUT_S = 60.0
"""Of a connection: a packet that the hub must not answer is not answered."""


class Laptop:
    """A network namespace at the other end of one of the hub's interfaces."""

    def __init__(self, process_id: int, device: str, hub: str) -> None:
        """Connect it.

        Args:
            process_id: Of a process in the namespace.
            device: The interface of the hub, which is made here.
            hub: The hub's address there.
        """
        self._process_id = process_id
        self._device = device
        far = f"{device}far"
        run("ip", "link", "add", device, "type", "veth", "peer", "name", far)
        run("ip", "link", "set", far, "netns", str(self._process_id))
        run("ip", "address", "add", f"{hub}/24", "dev", device)
        run("ip", "link", "set", device, "up")
        run("ip", "address", "add", f"{LINK_IPV6}/64", "dev", device, "nodad")
        self._inside("ip", "address", "add", f"{hub.rpartition('.')[0]}.99/24", "dev", far)
        self._inside("ip", "link", "set", far, "up")
        self._inside("ip", "route", "add", "default", "via", hub)

    def add_ipv6(self) -> None:
        """Give both ends an IPv6 address that is valid beyond the link."""
        run("ip", "address", "add", f"{LAN_IPV6}/64", "dev", self._device, "nodad")
        self._inside("ip", "address", "add", f"{LAPTOP_IPV6}/64", "dev", f"{self._device}far", "nodad")

    def _inside(self, *command: str) -> str:
        return run("nsenter", "--net", "--target", str(self._process_id), *command)

    async def ask(self, url: str, code: str = "") -> str:
        """Return what `status_of` finds from here."""
        command = (sys.executable, "-m", "tests.integration.port_namespace", url, code)
        return (await asyncio.to_thread(self._inside, *command)).strip()


def run(*command: str) -> str:
    """Run a command and return what it printed."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def status_of(url: str, code: str = "") -> str:
    """Return what somebody finds who opens an address, and signs in if they have a code: a status, or no answer."""
    parts = urlsplit(url)
    host = (parts.hostname or "").replace("%25", "%")
    client: http.client.HTTPConnection
    if parts.scheme == "https":
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        client = http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT_S, context=trusting)
    else:
        client = http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT_S)
    headers = {}
    try:
        if code:
            client.request("POST", "/v1/session", json.dumps({"code": code}), {"Content-Type": "application/json"})
            response = client.getresponse()
            response.read()
            if response.status != HTTPStatus.OK:
                return f"sign-in {response.status}"
            headers["Cookie"] = (response.getheader("Set-Cookie") or "").partition(";")[0]
        client.request("GET", "/v1/status", headers=headers)
        return str(client.getresponse().status)
    except (OSError, http.client.HTTPException):
        return "no answer"
    finally:
        client.close()


async def look(rig: PortRig, cable: Laptop, lan: Laptop) -> dict[str, Any]:
    """Return what each laptop finds at each address."""
    # Loopback, and IPv4 and IPv6 of each interface.
    await until(lambda: len(rig.hub.port.listeners.addresses) == 1 + 2 + 2)
    code = await rig.make_code(Role.OWNER)
    return {
        "cable": await cable.ask(f"http://{CABLE}:8480"),
        "cable, signed in": await cable.ask(f"http://{CABLE}:8480", code),
        "cable, wrong code": await cable.ask(f"http://{CABLE}:8480", "AAAA-BBBB-CCCC-DDDD"),
        "network, plain": await lan.ask(f"http://{LAN}:8480"),
        "network": await lan.ask(f"https://{LAN}:8480"),
        "network, signed in": await lan.ask(f"https://{LAN}:8480", code),
        "network, IPv6": await lan.ask(f"https://[{LAN_IPV6}]:8480", code),
        "network, plain IPv6": await lan.ask(f"http://[{LAN_IPV6}]:8480"),
        "network, IPv6 of the link": await lan.ask(f"https://[{LINK_IPV6}%25eth7far]:8480"),
        "cable, IPv6 of the link": await cable.ask(f"http://[{LINK_IPV6}%25usb0far]:8480"),
        "typed": sorted(rig.hub.port.typed_addresses()),
        "network, to the cable's address": await lan.ask(f"http://{CABLE}:8480", code),
        "cable, to the network's address": await cable.ask(f"https://{LAN}:8480", code),
    }


async def main(directory: Path) -> None:
    """Make the network, run the hub, and print what was seen."""
    run("ip", "link", "set", "lo", "up")
    with new_namespace() as cable_id, new_namespace() as lan_id:
        cable, lan = Laptop(cable_id, "usb0", CABLE), Laptop(lan_id, "eth7", LAN)
        lan.add_ipv6()
        async with open_port(directory, port_text=LISTEN) as rig:
            sys.stdout.write(json.dumps(await look(rig, cable, lan)))


if __name__ == "__main__":
    if sys.argv[1].startswith("http"):
        sys.stdout.write(status_of(*sys.argv[1:]))
    else:
        asyncio.run(main(Path(sys.argv[1])))
