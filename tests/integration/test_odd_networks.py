"""A hub on networks as they are found: IPv6 alone, name servers that hang or lie, lines that lose large packets.

Proxies, own authorities, certificates of the hub and redirects: `test_hub_tls.py`. Portals: `test_cloud_probe.py`.
"""

import os
import shutil
import socket
import subprocess
import sys
import threading
from typing import Any

import pytest
from aiohttp import web

from agent.cloud.session import SEGMENT_BYTES_MAX, new_session, tcp_connector
from hal.interface import SensorKind
from tests.integration.conftest import WAIT_S, Cloud, MakeHub, TestSensor, until
from tests.integration.mtu_hole import BODY_BYTES


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
async def test_a_network_with_ipv6_alone_delivers(make_hub: MakeHub) -> None:
    cloud = Cloud()
    runner = web.AppRunner(cloud.reference.application(), access_log=None, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "::1", 0).start()
        hub = make_hub(f"http://[::1]:{runner.addresses[0][1]}")
        hub.start()
        hub.report(20.5)
        await until(lambda: cloud.accepted)
        await hub.end()
    finally:
        await runner.cleanup()


async def test_a_name_server_that_hangs_costs_no_reading_and_no_measurement(
    cloud: Cloud, make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, look_up = threading.Event(), socket.getaddrinfo

    def hang(host: Any, *rest: Any, **options: Any) -> Any:  # noqa: ANN401 - as the library has it
        if host == "localhost":
            answered.wait(WAIT_S)
            host = "127.0.0.1"
        return look_up(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    sensor = TestSensor("T1", SensorKind.TEMPERATURE, lambda: 21.0)
    hub = make_hub(cloud.url.replace("127.0.0.1", "localhost"), sensors=[sensor], config_text="request_timeout_s = 1")
    hub.start()
    try:
        hub.report(20.5)
        await until(lambda: hub.status().link.state == "down")
        reads = sensor.reads
        hub.report(20.6)
        await until(lambda: hub.status().outbox.pending >= 2)
        await until(lambda: sensor.reads > reads)
        assert not cloud.accepted
    finally:
        answered.set()
    await until(lambda: {20.5, 20.6} <= {reading.value for reading in cloud.accepted})
    await hub.end()


async def test_both_ends_send_segments_that_pass_every_line() -> None:
    """The limit is announced to the server, so it holds for what comes back too."""
    announced: list[int] = []

    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        made = request.transport.get_extra_info("socket")
        announced.append(made.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))
        return web.Response()

    application = web.Application()
    application.router.add_get("/", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with new_session(tcp_connector(None), user_agent="climahub/test") as session:
            await session.get(f"http://127.0.0.1:{runner.addresses[0][1]}/")
    finally:
        await runner.cleanup()
    assert announced[0] <= SEGMENT_BYTES_MAX


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="only root makes a network of its own")
def test_a_line_that_loses_large_packets_without_a_word_carries_large_requests() -> None:
    command = ["unshare", "--net", sys.executable, "-m", "tests.integration.mtu_hole"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == f"{BODY_BYTES} sent, {BODY_BYTES} received"
