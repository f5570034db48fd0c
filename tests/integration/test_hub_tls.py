"""TLS with an authority of our own: verified, refused, and told in words that help. No redirect ever gets the key."""

import asyncio
import contextlib
import shutil
import ssl
import subprocess
import sys
import time
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from yarl import URL

from agent.cloud.session import ConnectionOptions, client_tls
from agent.config import resolve_text
from agent.config.network import ProxyRules, verifying_context
from agent.foundation import clock
from agent.foundation.clock import SystemClock
from lab.refcloud import faults
from tests.integration.conftest import KEY, WAIT_S, Cloud, HubClock, MakeHub, until

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")

_CONFIG = """
[ca]
default_ca = here
[here]
dir = {root}
database = $dir/index.txt
serial = $dir/serial
new_certs_dir = $dir
default_md = sha256
policy = any
x509_extensions = server
unique_subject = no
[any]
commonName = supplied
[server]
subjectAltName = IP:127.0.0.1,DNS:cloud.test
[req]
distinguished_name = dn
[dn]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
"""


class Authority:
    """A certificate authority in a directory; PEM files come out."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        (root / "ca.cnf").write_text(_CONFIG.format(root=root))
        (root / "index.txt").touch()
        (root / "serial").write_text("01\n")
        self.certificate = root / "ca.pem"
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        names = ("-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority", "-extensions", "authority")
        self._openssl("req", "-x509", *key, *names, "-days", "30", "-config", "ca.cnf")
        self._openssl(
            "req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=cloud", "-config", "ca.cnf"
        )

    def server(self, begin: str, end: str) -> ssl.SSLContext:
        """Return the context of a server at 127.0.0.1 with a certificate that is valid between two moments."""
        files = ("-in", "server.csr", "-out", "server.pem", "-keyfile", "ca.key", "-cert", "ca.pem")
        self._openssl("ca", "-batch", "-config", "ca.cnf", "-startdate", begin, "-enddate", end, *files)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.root / "server.pem", self.root / "server.key")
        return context

    def hash(self) -> str:
        """Return the name by which OpenSSL finds the authority in a directory."""
        return self._openssl("x509", "-hash", "-noout", "-in", "ca.pem").strip()

    def _openssl(self, *arguments: str) -> str:
        done = subprocess.run(
            ["openssl", *arguments], cwd=self.root, check=True, capture_output=True, timeout=WAIT_S, text=True
        )
        return done.stdout


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ca")


NOW = ("20200101000000Z", "20491231000000Z")
LATER = ("20450101000000Z", "20491231000000Z")


async def secure_cloud(context: ssl.SSLContext) -> Cloud:
    cloud = Cloud()
    cloud.ssl_context = context
    await cloud.up()
    return cloud


@pytest.fixture
async def good(authority: Authority) -> AsyncIterator[Cloud]:
    cloud = await secure_cloud(authority.server(*NOW))
    yield cloud
    await cloud.down()


async def test_own_certificate_authority_is_sufficient(good: Cloud, make_hub: MakeHub, authority: Authority) -> None:
    hub = make_hub(good.url, ca_file=str(authority.certificate))
    hub.start()
    hub.report(20.1)
    await until(lambda: good.accepted)
    assert hub.status().link.state == "up"


async def test_further_authorities_do_not_replace_those_of_the_system(
    good: Cloud, make_hub: MakeHub, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    further = Authority(tmp_path / "further")
    hub = make_hub(good.url, ca_file=str(further.certificate))
    hub.start()
    hub.report(20.1)
    await until(lambda: good.accepted)


class TestProxy:
    """A proxy that wants credentials, and takes every CONNECT to the cloud: its name need not exist."""

    __test__ = False

    def __init__(self, cloud: Cloud) -> None:
        self._cloud_port = int(cloud.url.rpartition(":")[2])
        self.asked: list[str] = []
        self.status = 200

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head)
        if "Proxy-Authorization: Basic dXNlcjpzM2NyZXQ=" not in head or self.status != 200:
            writer.write(b"HTTP/1.1 407 No\x1b entry\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        there, back = await asyncio.open_connection("127.0.0.1", self._cloud_port)

        async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(65_536):
                target.write(data)
            target.close()

        with contextlib.suppress(ConnectionError):
            await asyncio.gather(pump(reader, back), pump(there, writer))


async def test_requests_use_the_proxy_and_never_show_its_credentials(
    good: Cloud, make_hub: MakeHub, authority: Authority
) -> None:
    proxy = TestProxy(good)
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        rules = ProxyRules("environment", {"HTTPS_PROXY": f"http://user:s3cret@127.0.0.1:{port}"})
        connection = ConnectionOptions(verifying_context(str(authority.certificate)), rules)
        # A name that no resolver knows: only the proxy can have brought it there.
        url = good.url.replace("127.0.0.1", "cloud.test")
        hub = make_hub(url, options=connection.for_url)
        hub.start()
        hub.report(20.1)
        await until(lambda: good.accepted)
        assert all(head.startswith("CONNECT cloud.test:") for head in proxy.asked)
        assert "Bearer" not in "".join(proxy.asked)
        proxy.status = 407
        await hub.end()
        hub = make_hub(url, options=connection.for_url)
        hub.start()
        hub.report(20.2)
        await until(lambda: hub.status().link.state == "down")
        assert "the proxy on the way to cloud.test:" in hub.status().link.reason
        assert "wants other credentials (407 No" in hub.status().link.reason
        assert "s3cret" not in hub.status().link.reason


async def test_a_gateway_that_asks_for_a_certificate_gets_that_of_the_hub_and_no_other_server_does(
    authority: Authority, make_hub: MakeHub
) -> None:
    context = authority.server(*NOW)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.certificate)
    cloud = await secure_cloud(context)
    files = "".join(
        f'client_{name} = "{authority.root}/server.{end}"\n'
        for name, end in (("certificate_file", "pem"), ("key_file", "key"))
    )
    text = f'[cloud]\nbase_url = "{cloud.url}"\nca_file = "{authority.certificate}"\n{files}'
    settings = resolve_text(text, file="hub.toml", directory=authority.root, environ={}).config
    options = ConnectionOptions(verifying_context(str(authority.certificate)), ProxyRules("none", {}))
    try:
        without = make_hub(cloud.url, options=options.for_url)
        without.start()
        without.report(20.5)
        await until(lambda: without.status().link.state == "down")
        await without.end()
        assert not cloud.accepted
        client = client_tls(settings.cloud)
        assert client is not None
        options.set_tls_context(verifying_context(str(authority.certificate)), client)
        hub = make_hub(cloud.url, options=options.for_url)
        hub.start()
        hub.report(20.6)
        await until(lambda: cloud.accepted)
        await hub.end()
    finally:
        await cloud.down()
    assert options.for_url(URL(cloud.url)).get("ssl") is client.context
    assert options.for_url(URL("https://storage.test/x")).get("ssl") is not client.context


async def test_untrusted_server_is_refused_before_the_key_is_sent(
    good: Cloud, make_hub: MakeHub, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger")
    for ca_file in (None, str(stranger.certificate)):
        hub = make_hub(good.url, ca_file=ca_file)
        hub.start()
        hub.report(20.1)
        await until(lambda hub=hub: hub.status().link.state == "down")  # type: ignore[misc] # bound at once
        assert "certificate is not accepted" in hub.status().link.reason
        assert "check cloud.ca_file" in hub.status().link.reason
        await hub.end()
    assert good.requests == []


async def test_certificate_for_another_name_is_refused(good: Cloud, make_hub: MakeHub, authority: Authority) -> None:
    hub = make_hub(good.url.replace("127.0.0.1", "localhost"), ca_file=str(authority.certificate))
    hub.start()
    hub.report(20.1)
    await until(lambda: hub.status().link.state == "down")
    assert good.requests == []


@pytest.mark.parametrize(("is_synchronised", "advice"), [(False, "this hub has no time yet"), (True, "ca_file")])
async def test_certificate_not_yet_valid_hints_at_the_hubs_clock(
    make_hub: MakeHub, authority: Authority, is_synchronised: bool, advice: str
) -> None:
    cloud = await secure_cloud(authority.server(*LATER))
    machine = HubClock()
    machine.is_synchronised = is_synchronised
    hub = make_hub(cloud.url, ca_file=str(authority.certificate), clock=machine)
    hub.start()
    await until(lambda: hub.status().link.state == "down")
    assert "not yet valid" in hub.status().link.reason
    assert advice in hub.status().link.reason
    await cloud.down()


class WithoutNtp(HubClock):
    """A machine that no NTP server ever answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        monkeypatch.setattr(clock, "kernel_error_ms", lambda: None)
        monkeypatch.setattr(clock, "NTP_GRACE_MS", 0)
        self.system = SystemClock(read_rtc=lambda _: None)

    def utc_ms(self) -> int | None:
        return self.system.utc_ms()


async def test_verified_cloud_gives_the_time_without_ntp(
    good: Cloud, make_hub: MakeHub, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = WithoutNtp(monkeypatch)
    hub = make_hub(good.url, ca_file=str(authority.certificate), clock=machine, timekeeper=machine.system)
    hub.start()
    hub.report(20.1)
    await until(lambda: good.accepted)
    assert abs(good.accepted[0].at_ms - time.time() * 1000) < 10_000
    status = hub.status().clock
    assert (status.synchronised, status.source) == (True, "cloud")
    assert status.error_s is not None
    # A second for the Date header, and the time that the answer took.
    assert status.error_s >= 1.0


async def test_cloud_without_tls_gives_no_time(
    cloud: Cloud, make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = WithoutNtp(monkeypatch)
    hub = make_hub(cloud.url, clock=machine, timekeeper=machine.system)
    hub.start()
    hub.report(20.1)
    await until(lambda: len(cloud.requests) >= 2 and hub.status().outbox.unanchored)
    assert hub.status().clock.synchronised is False


async def test_a_redirect_is_not_followed_and_the_key_not_sent_on(cloud: Cloud, make_hub: MakeHub) -> None:
    seen: list[str | None] = []

    async def elsewhere(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.json_response({"accepted": 1})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", elsewhere)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    target = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/telemetry"
    for status in (301, 302, 303, 307, 308):
        cloud.faults(faults.FaultRule(faults.Redirect(location=target, status=status), next_n=1))
        hub = make_hub(cloud.url)
        hub.start()
        hub.report(20.1)
        await until(lambda hub=hub: hub.status().outbox.accepted)  # type: ignore[misc] # bound at once
        await hub.end()
    assert seen == []
    await runner.cleanup()


class RawServer:
    """Answers each request with the same bytes, and notes what came."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.heads: list[str] = []
        self._server: asyncio.Server
        self.url = ""

    async def up(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            for start in range(0, len(self.answer), 65536):
                writer.write(self.answer[start : start + 65536])
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    def down(self) -> None:
        self._server.close()


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


GZIPPED_BOMB = zlib.compress(b" " * 20_000_000, 9, 31)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 abc\r\n\r\n", id="no status"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", id="no length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", id="cut"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, id="endless header"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", id="bad chunk"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 5_000_000, id="endless body"),
        pytest.param(http("200 OK", b'{"accepted":1}' + b" " * 5_000_000), id="right, but far too long"),
        pytest.param(http("200 OK"), id="a captive portal without a body"),
        pytest.param(http("200 OK", b"<html>log in</html>"), id="a captive portal"),
        pytest.param(http("200 OK", b"[]"), id="a list"),
        pytest.param(http("200 OK", b'{"accepted":"\xff"}'), id="not UTF-8"),
        pytest.param(http("200 OK", b'{"accepted":' + b"[" * 100_000), id="too deep"),
        pytest.param(http("200 OK", b'{"accepted":1.5}'), id="half a reading"),
        pytest.param(http("200 OK", b"garbage", "Content-Encoding: gzip"), id="no gzip"),
        pytest.param(http("200 OK", GZIPPED_BOMB, "Content-Encoding: gzip"), id="a bomb"),
        pytest.param(http("301 Moved", b"", "Location: \x01\x02"), id="a redirect to nowhere"),
        pytest.param(http("101 Switching Protocols"), id="another protocol, politely"),
        pytest.param(http("999 What"), id="an unknown status"),
    ],
)
async def test_any_answering_server_loses_and_breaks_nothing(make_hub: MakeHub, answer: bytes) -> None:
    server = RawServer(answer)
    await server.up()
    hub = make_hub(server.url)
    hub.start()
    hub.report(20.1)
    await until(lambda: len([head for head in server.heads if "telemetry" in head]) >= 2)
    await until(lambda: any("settings" in head for head in server.heads))
    await until(lambda: hub.status().link.state == "down")
    assert hub.status().outbox.pending == 1
    assert hub.status().outbox.accepted == 0
    assert hub.status().faults == []
    assert KEY not in hub.status().link.reason
    server.down()


ASK = """
import asyncio, sys
from agent.foundation import lazy_imports

lazy_imports.import_libraries()
import aiohttp
from agent.cloud.session import new_session, tcp_connector


async def main():
    async with new_session(tcp_connector(None), user_agent="test") as session:
        try:
            async with session.get(sys.argv[1]):
                print("trusted")
        except aiohttp.ClientConnectorCertificateError:
            print("refused")


asyncio.run(main())
assert "frozenlist._frozenlist" not in sys.modules
"""


async def test_daemon_loads_the_systems_certificate_authorities(
    good: Cloud, authority: Authority, tmp_path: Path
) -> None:
    directory = tmp_path / "certs"
    stranger = Authority(tmp_path / "stranger")
    for trusted, expected in ((stranger, "refused"), (authority, "trusted")):
        directory.mkdir(exist_ok=True)
        shutil.copy(trusted.certificate, directory / f"{trusted.hash()}.0")
        asking = await asyncio.create_subprocess_exec(
            sys.executable, "-c", ASK, good.url, env={"SSL_CERT_DIR": str(directory)}, stdout=subprocess.PIPE
        )
        told, _ = await asking.communicate()
        assert (asking.returncode, told.decode().strip()) == (0, expected)
