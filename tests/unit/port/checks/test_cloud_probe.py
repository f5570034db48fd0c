"""The way to the cloud over real sockets: each layer fails for its own reason, and those above it are not tried."""

import asyncio
import datetime as dt
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.config.network import ProxyRules
from agent.port.checks import cloud_probe
from agent.port.checks.cloud_probe import CloudTarget, probe_cloud
from agent.port.checks.facts import CloudPath
from agent.port.checks.runner import ThreadReads

NOW = dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC)
NOW_MS = int(NOW.timestamp() * 1000)
DAY_S = 86_400
OK = b"HTTP/1.1 404 Not Found\r\nDate: Sat, 28 Nov 2026 12:00:09 GMT\r\n\r\n"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait longer than the product does: this machine may have other work."""
    monkeypatch.setattr(cloud_probe, "LAYER_S_MAX", 120.0)


def certificate(tmp_path: Path, *, days: int = 60) -> Path:
    """Make a certificate of localhost, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - dt.timedelta(days=90))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


@asynccontextmanager
async def serving(answer: bytes, pem: Path | None = None) -> AsyncIterator[int]:
    """Answer each request on localhost with the same bytes; with nothing: hold the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            if not answer:
                await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    context = None
    if pem is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


async def probe(url: str, *, ca_file: Path | None = None, proxy: str = "none", portal_port: int = 9) -> CloudPath:
    target = CloudTarget(
        url, ProxyRules(proxy, {}), ThreadReads(), str(ca_file) if ca_file else None, portal_port=portal_port
    )
    return await probe_cloud(target, lambda: NOW_MS)


def working(path: CloudPath) -> list[bool | None]:
    return [layer.is_working for layer in (path.dns, path.tcp, path.tls, path.http)]


async def test_working_cloud(tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    async with serving(OK, pem) as port:
        path = await probe(f"https://localhost:{port}", ca_file=pem)
    assert working(path) == [True, True, True, True]
    assert path.clock_difference_s == 9.0
    assert path.certificate_s_left is not None
    assert path.portal.is_working
    assert path.http.text == "localhost answers a request (status 404)"


async def test_unknown_host_name() -> None:
    path = await probe("https://cloud.invalid")
    assert working(path) == [False, None, None, None]
    assert "cloud.invalid" in path.dns.text
    assert path.tcp.text == "not tried, because a layer below failed"


async def test_closed_port() -> None:
    path = await probe("https://localhost:9")
    assert working(path) == [True, False, None, None]
    assert "refused" in path.tcp.text.lower()


async def test_a_certificate_that_is_not_trusted(tmp_path: Path) -> None:
    async with serving(OK, certificate(tmp_path)) as port:
        path = await probe(f"https://localhost:{port}")
    assert working(path) == [True, True, False, None]
    assert "self-signed" in path.tls.text.replace("self signed", "self-signed")


async def test_a_certificate_that_has_expired(tmp_path: Path) -> None:
    pem = certificate(tmp_path, days=-1)
    async with serving(OK, pem) as port:
        path = await probe(f"https://localhost:{port}", ca_file=pem)
    assert working(path) == [True, True, False, None]
    assert "expired" in path.tls.text


async def test_silent_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Long enough for the layers that answer.
    monkeypatch.setattr(cloud_probe, "LAYER_S_MAX", 3.0)
    pem = certificate(tmp_path)
    async with serving(b"", pem) as port:
        path = await probe(f"https://localhost:{port}", ca_file=pem)
    assert working(path) == [True, True, True, False]
    assert "no answer within 3 s" in path.http.text


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 503 Busy\r\n\r\n", "status 503"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", "no answer to a request"),
    ],
)
async def test_invalid_http_answer(answer: bytes, said: str) -> None:
    async with serving(answer) as port:
        path = await probe(f"http://127.0.0.1:{port}")
    assert working(path) == [True, True, True, False]
    assert said in path.http.text
    assert path.clock_difference_s is None


async def test_captive_portal(tmp_path: Path) -> None:
    portal = b"HTTP/1.1 302 Found\r\nLocation: http://login.hotel.example/\r\n\r\n"
    async with serving(OK, certificate(tmp_path)) as port, serving(portal) as portal_port:
        path = await probe(f"https://localhost:{port}", portal_port=portal_port)
    assert path.portal.is_working is False
    assert "login.hotel.example" in path.portal.text


@pytest.mark.parametrize(
    ("answer", "is_working"),
    [
        (b"HTTP/1.1 511 Network Authentication Required\r\n\r\n", False),
        (b"HTTP/1.1 301 Moved\r\nLocation: https://localhost/\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\n\r\n", None),
        (b"HTTP/1.1 302 Found\r\nLocation: http://[::1/\r\n\r\n", None),
        (b"\0\0\r\n\r\n", None),
    ],
)
async def test_unencrypted_answer_tells_a_portal_from_an_open_network(
    tmp_path: Path, answer: bytes, is_working: bool | None
) -> None:
    async with serving(OK, certificate(tmp_path)) as port, serving(answer) as portal_port:
        path = await probe(f"https://localhost:{port}", portal_port=portal_port)
    assert path.portal.is_working is is_working


async def test_a_proxy_is_asked_in_the_clouds_place_and_its_password_is_not_shown() -> None:
    async with serving(b"HTTP/1.1 403 Forbidden\r\n\r\n") as port:
        path = await probe("https://cloud.invalid", proxy=f"http://user:geheim@127.0.0.1:{port}")
    assert working(path) == [True, True, False, None]
    assert "the proxy answers 403" in path.tls.text
    assert path.proxy == f"http://127.0.0.1:{port}"
    assert "geheim" not in repr(path)
    assert path.ipv6.text.startswith("not used")


async def test_a_proxy_that_lets_requests_through(tmp_path: Path) -> None:
    pem = certificate(tmp_path)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"CONNECT cloud.invalid:443 HTTP/1.1\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", port)

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(4096):
                sink.write(data)
            sink.close()

        await asyncio.gather(copy(reader, upstream_writer), copy(upstream_reader, writer), return_exceptions=True)

    async with serving(OK, pem) as port, await asyncio.start_server(forward, "127.0.0.1", 0) as proxy:
        proxy_port = proxy.sockets[0].getsockname()[1]
        path = await probe("https://cloud.invalid", ca_file=pem, proxy=f"http://127.0.0.1:{proxy_port}")
    # It connects; the certificate there is that of localhost.
    assert path.tcp.is_working
    assert path.tls.is_working is False
    assert "Hostname mismatch" in path.tls.text


async def test_ipv6_is_judged_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await cloud_probe._ipv6(ThreadReads(), "127.0.0.1", 9)).is_working is None

    async def resolve(*_: object) -> list[tuple[int, str]]:
        return [(10, "::1")]

    monkeypatch.setattr(cloud_probe, "_addresses", resolve)
    refused = await cloud_probe._ipv6(ThreadReads(), "localhost", 9)
    assert refused.is_working in {False, True}
    assert "IPv6" in refused.text


async def test_a_name_server_that_hangs_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_probe, "LAYER_S_MAX", 0.1)
    release, asked = threading.Event(), []

    def hang(*_: object, **__: object) -> list[object]:
        asked.append(True)
        release.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    target = CloudTarget("https://cloud.example", ProxyRules("none", {}), ThreadReads())
    try:
        paths = [await probe_cloud(target, lambda: NOW_MS) for _ in range(3)]
    finally:
        release.set()
    assert "no answer within 0.1 s" in paths[0].dns.text
    assert "an earlier read has not returned yet" in paths[2].dns.text
    assert len(asked) == 2, "once for all addresses, once for IPv6"


async def test_network_that_drops_all_packets_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_probe, "LAYER_S_MAX", 0.1)

    async def vanish(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "open_connection", vanish)
    path = await probe("https://localhost:443")
    assert path.tcp.is_working is False
    assert "no answer within 0.1 s" in path.tcp.text
