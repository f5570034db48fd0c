"""The support bundle of a real hub in whose every corner secrets were planted: none of them leaves.

The same secrets are looked for in the metrics, in every document of the API and in the log.
"""

import asyncio
import datetime as dt
import io
import json
import logging
import re
import shutil
import subprocess
import tarfile
import time
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from agent.cli import exit_codes, root
from agent.errors import StorageFull
from agent.local.routes import ROUTES, RequestRefused, Role, Stream
from agent.port.bundle import machine, packing
from agent.port.bundle.packing import Manifest
from tests.integration.config_rig import run_daemon
from tests.integration.conftest import KEY, until
from tests.integration.port_rig import PortRig, open_port

SENSOR_KEY = "any-printable+sensor.key=77"
PROXY_PASSWORD = "hunter2-of-the-proxy"
ZIGBEE_KEY = "0badc0de0badc0de1234567890abcdef"
LINK_KEY = "5ca1ab1e5ca1ab1e0011223344556677"
INSTALL_CODE = "83FED3407A939723A5C639B26916D505C3B5"
CODE = "K7QP-2M4X-9TBD-WZ3H"
TOKEN = "climahub_0123456789ABCDEFGHJKMNPQRSTVWXYZ"
PRIVATE_KEY = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgcLimaHub0"
SECRETS = (
    KEY, SENSOR_KEY, PROXY_PASSWORD, ZIGBEE_KEY, LINK_KEY, INSTALL_CODE, CODE, CODE.replace("-", ""), TOKEN,
    PRIVATE_KEY,
)  # fmt: skip

CONFIG = """\
[board.sim]
sensors_count = 20
[climate]
zones = [
  { id = "living", sensors = ["sim/temperature"] },
]
[relayed_sensors]
sensor_keys_file = "sensor-keys.toml"
"""


def plant(state: Path) -> None:
    """Put secrets where a hub has them, and where nobody expects them."""
    (state.parent / "sensor-keys.toml").write_text(f'"0x00158d0001a2b3c4" = "{SENSOR_KEY}"\n')
    (state.parent / "sensor-keys.toml").chmod(0o600)
    backup = {"network_key": {"key": LINK_KEY}, "devices": []}
    (state / "zigbee-network.json").write_text(
        json.dumps({"phase": "formed", "settings": {"key": ZIGBEE_KEY}, "backups": [backup]})
    )
    (state / "certificate.json.copy").write_text(json.dumps({"key": f"-----BEGIN KEY-----\n{PRIVATE_KEY}"}))
    (state / f"backup-{ZIGBEE_KEY}.json").write_text("{}")
    (state / f"{SENSOR_KEY}.txt").write_text("a file that a person has forgotten here")
    (state / f"starts.json.{CODE}").write_text("{}")


def log_secrets() -> None:
    log = logging.getLogger("agent.of.a.careless.author")
    for secret in SECRETS:
        log.warning("a library says that %s was not accepted", secret)
        log.error("%s", f"http://technician:{secret}@proxy.example:3128 refused")
    try:
        raise ValueError(f"no key is {SENSOR_KEY} {ZIGBEE_KEY}")
    except ValueError:
        log.exception("as a traceback")


def journal_of(*lines: str) -> Callable[..., str]:
    kernel = f"usb 1-1: serial {ZIGBEE_KEY}\nUndervoltage detected!"
    return lambda command: "\n".join(lines) if "--unit" in command else kernel


async def devices(rig: PortRig) -> list[str]:
    async with rig.socket_session() as client, client.get("/v1/zigbee") as response:
        return [sensor["device"] for sensor in (await response.json())["sensors"]]


async def rename(rig: PortRig, device: str, name: str) -> None:
    route = f"/v1/zigbee/sensors/{device}/name"
    async with rig.socket_session() as client, client.post(route, json={"name": name}) as response:
        assert response.status == 200, await response.text()


@asynccontextmanager
async def planted_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PortRig]:
    """Run a hub full of secrets."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://technician:{PROXY_PASSWORD}@proxy.example:3128")
    lines = [f"Nov 28 18:00:00 hub climahub[1]: {secret} in the journal" for secret in SECRETS]
    monkeypatch.setattr(machine.Machine, "_run", staticmethod(journal_of(*lines, "a last harmless line")))
    (tmp_path / "state").mkdir()
    plant(tmp_path / "state")
    async with open_port(tmp_path, config_text=CONFIG) as rig:
        await until(lambda: rig.hub.climate and rig.hub.climate.control.last)
        for device, name in zip(await devices(rig), (CODE, INSTALL_CODE, SENSOR_KEY), strict=False):
            await rename(rig, device, name)
        rig.hub.faults.add("careless", f"{ZIGBEE_KEY} and {CODE}")
        ring = rig.hub.environment.log_ring
        assert ring is not None
        logging.getLogger().addHandler(ring)
        try:
            log_secrets()
            yield rig
        finally:
            logging.getLogger().removeHandler(ring)


def unpack(data: bytes) -> dict[str, bytes]:
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    tar = subprocess.run(["zstd", "-d", "-c"], input=data, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        return {found.name: opened.extractfile(found).read() for found in opened.getmembers()}  # type: ignore[union-attr]


def leaks(files: dict[str, bytes]) -> list[tuple[str, str]]:
    """Return which secret is in which file, in any case and through the escapes of JSON."""
    found = []
    for name, content in files.items():
        text = (name + "\n" + content.decode(errors="replace")).lower()
        texts = (text, text.encode().decode("unicode_escape", errors="replace"))
        found += [(name, secret) for secret in SECRETS if any(secret.lower() in each for each in texts)]
    return found


async def download(rig: PortRig) -> bytes:
    async with rig.session(Role.SERVICE) as client, client.get("/v1/support-bundle") as response:
        assert response.status == 200
        name = response.headers["Content-Disposition"]
        assert re.search(r'filename="climahub-support-[0-9-]+\.(tar\.zst|zip)"', name)
        return await response.read()


EXPECTED = {
    "verdict.json", "status.json", "checks.json", "boots.json", "climate.json", "zigbee.json", "commands.json",
    "tests.json", "log.json", "metrics.txt", "system.json", "config.json", "databases.json", "files.json",
    "kernel.txt", "journal.txt", "manifest.json",
}  # fmt: skip


@pytest.mark.parametrize("has_zstd", [True, False])
async def test_no_secret_leaves_with_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_zstd: bool) -> None:
    if has_zstd and not packing.has_zstd():
        pytest.skip("zstd is not installed")
    monkeypatch.setattr(packing, "has_zstd", lambda: has_zstd)
    async with planted_hub(tmp_path, monkeypatch) as rig:
        data = await download(rig)
    files = unpack(data)
    assert set(files) >= EXPECTED
    assert leaks(files) == []
    # What support needs is there all the same.
    assert files["journal.txt"].endswith(b"a last harmless line")
    assert files["kernel.txt"] == b"Undervoltage detected!"
    assert b"[redacted]" in files["log.json"]
    assert b"agent.of.a.careless.author" in files["log.json"]
    assert json.loads(files["status.json"])["board"] == "sim"
    config = {row["key"]: row["value"] for row in json.loads(files["config.json"])}
    assert (config["cloud.api_key"], config["board.sim.sensors_count"]) == ("(not set)", "20")
    rows = {each["file"]: each for each in json.loads(files["databases.json"])}
    assert rows["outbox.db"]["is_sound"] is True
    assert rows["outbox.db"]["rows"]["blobs"] is not None
    listed = json.loads(files["files.json"])
    assert {"outbox.db", "zigbee-network.json", "certificate.json.copy"} <= {each["name"] for each in listed["known"]}
    assert listed["others_count"] >= 3
    manifest = msgspec.json.decode(files["manifest.json"], type=Manifest)
    assert {each.name for each in manifest.members if not each.note} == set(files) - {"manifest.json"}


def test_the_planted_secrets_would_be_found() -> None:
    """Without the scrubber; so that the test above is known to look."""
    assert len(leaks({"log.json": json.dumps({"text": " ".join(SECRETS)}).encode()})) == len(SECRETS)
    assert leaks({f"{CODE}.json": b"{}"}) == [(f"{CODE}.json", CODE)]


async def test_a_bundle_without_its_scrubber_leaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.port.bundle.scrub.Scrubber.text", lambda self, text: text)
    async with planted_hub(tmp_path, monkeypatch) as rig:
        found = leaks(unpack(await download(rig)))
    assert {"journal.txt", "zigbee.json", "status.json"} <= {name for name, _ in found}


async def test_what_is_a_secret_of_the_hub_is_in_no_document_and_no_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Those that the hub keeps. What a person has written into a name is shown in that name."""
    of_the_hub = (KEY, SENSOR_KEY, PROXY_PASSWORD, ZIGBEE_KEY, LINK_KEY, PRIVATE_KEY)
    monkeypatch.setenv("HTTPS_PROXY", f"http://technician:{PROXY_PASSWORD}@proxy.example:3128")
    (tmp_path / "state").mkdir()
    plant(tmp_path / "state")
    with caplog.at_level(logging.DEBUG):
        async with open_port(tmp_path, config_text=CONFIG) as rig, rig.session(Role.OWNER) as client:
            for route in ROUTES:
                if route.method != "GET" or "{" in route.path or route.handler in {"get_events", "back_up_network"}:
                    continue
                async with client.get(route.path) as response:
                    body = await response.read()
                for secret in of_the_hub:
                    assert secret.encode() not in body, route.path
    assert not [secret for secret in of_the_hub if secret in caplog.text]


async def test_one_bundle_at_a_time_and_only_for_service(tmp_path: Path) -> None:
    async with open_port(tmp_path) as rig:
        async with rig.session(Role.VIEWER) as client, client.get("/v1/support-bundle") as response:
            assert response.status == 403
        async with rig.session(Role.SERVICE) as client:
            one, other = await asyncio.gather(client.get("/v1/support-bundle"), client.get("/v1/support-bundle"))
            assert {one.status, other.status} <= {200, 409}
            assert 200 in {one.status, other.status}
            await asyncio.gather(one.read(), other.read(), return_exceptions=True)
            async with client.get("/v1/support-bundle") as again:
                assert again.status == 200
                assert unpack(await again.read())


async def test_failing_document_is_left_out_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object) -> None:
        raise StorageFull(f"no room for {ZIGBEE_KEY}")

    monkeypatch.setattr("agent.local.status_builder.HubReports.commands", fail)
    async with open_port(tmp_path) as rig:
        files = unpack(await download(rig))
    assert json.loads(files["commands.json"]) == {"not_available": "StorageFull"}
    assert {"status.json", "checks.json"} <= set(files)


async def test_control_goes_on_while_a_bundle_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest journal is searched for secrets meanwhile."""
    line = (
        "Nov 28 18:00:00 hub climahub[123]: agent.telemetry.uplink: 42 readings accepted, 0x00158d0001a2b3c4 is silent"
    )
    lines = [line] * (machine.JOURNAL_BYTES_MAX // len(line))
    monkeypatch.setattr(machine.Machine, "_run", staticmethod(journal_of(*lines)))
    async with open_port(tmp_path) as rig:
        climate = rig.hub.climate
        assert climate is not None
        await until(lambda: climate.control.last)
        held_s: list[float] = []

        async def watch() -> None:
            while True:
                # What the loop computes without a pause, however slow the machine is.
                before_s = time.thread_time()
                await asyncio.sleep(0.01)
                held_s.append(time.thread_time() - before_s)

        watching = asyncio.create_task(watch())
        files = unpack(await download(rig))
        watching.cancel()
        assert len(files["journal.txt"]) > 0.9 * machine.JOURNAL_BYTES_MAX
        # Searched as a whole, the journal would hold the loop for 15 s.
        assert max(held_s) < 5.0


# The command.


def leftovers(directory: Path) -> list[Path]:
    return list(directory.glob(".climahub*"))


async def command(*words: str | Path) -> int:
    return await asyncio.to_thread(root.run, ["support-bundle", *map(str, words)])


async def test_the_command_writes_a_bundle_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "bundle"
    async with planted_hub(tmp_path, monkeypatch) as rig:
        assert await command("--output", target, "--socket", rig.socket) == exit_codes.OK
        assert await command("--output", target, "--socket", rig.socket) == exit_codes.CANNOT_CREATE
    files = unpack(target.read_bytes())
    assert leaks(files) == []
    assert json.loads(files["manifest.json"])["made_by"] == "hub"
    assert target.stat().st_mode & 0o777 == 0o600
    assert f"name another file: {target} exists" in capsys.readouterr().err
    assert not leftovers(tmp_path)


async def test_the_command_adds_the_journals_that_the_hub_may_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's user is in no group for it; the command runs as root."""
    target, config = tmp_path / "bundle", dead_hub(tmp_path)
    readable = iter(["", "", "Undervoltage detected!", f"of root: {PROXY_PASSWORD}"])
    monkeypatch.setattr(machine.Machine, "_run", staticmethod(lambda _: next(readable)))
    async with open_port(tmp_path) as rig:
        assert await command("--output", target, "--socket", rig.socket, "--config", config) == exit_codes.OK
    files = unpack(target.read_bytes())
    assert set(files) >= EXPECTED
    manifest = json.loads(files["manifest.json"])
    assert manifest["made_by"] == "hub; kernel.txt, journal.txt by the command line"
    assert {each["name"] for each in manifest["members"]} == set(files) - {"manifest.json"}
    assert (files["kernel.txt"], files["journal.txt"]) == (b"Undervoltage detected!", b"of root: [redacted]")
    assert leaks(files) == []


async def test_what_the_hub_refuses_is_not_taken_from_the_disk_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not for a session without the role, and not for one who is impatient."""
    target, config = tmp_path / "bundle", dead_hub(tmp_path)
    async with open_port(tmp_path) as rig:
        words = ("--output", target, "--socket", rig.socket, "--config", config)
        monkeypatch.setattr("agent.cli.support_bundle._offline", lambda _: pytest.fail("taken from the disk"))
        monkeypatch.setenv("CLIMAHUB_SESSION", "of-nobody")
        assert await command(*words) == exit_codes.FAILED
        assert "sign in" in capsys.readouterr().err
        monkeypatch.delenv("CLIMAHUB_SESSION")

        def refuse(_: object) -> Stream:
            raise RequestRefused(HTTPStatus.CONFLICT, "conflict", "wait a minute: one is being made")

        monkeypatch.setattr("agent.port.bundle.support_bundle.SupportBundle.make", refuse)
        assert await command(*words) == exit_codes.FAILED
        assert "wait a minute" in capsys.readouterr().err
    assert not target.exists()
    assert not leftovers(tmp_path)


def dead_hub(directory: Path) -> Path:
    text = f'[cloud]\nbase_url = "https://127.0.0.1:9"\nproxy = "http://t:{PROXY_PASSWORD}@proxy.example:3128"\n'
    text += f'{CONFIG}[storage]\nstate_dir = "state"\nrun_dir = "run"\n'
    (directory / "hub.toml").write_text(text)
    return directory / "hub.toml"


async def test_dead_hub_has_a_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("agent.cli.doctor.examine_here", lambda *_, **__: {"checks": f"none, {ZIGBEE_KEY}"})
    async with planted_hub(tmp_path, monkeypatch):
        pass
    target, config = tmp_path / "bundle", dead_hub(tmp_path)
    assert await command("--output", target, "--config", config) == exit_codes.OK
    files = unpack(target.read_bytes())
    assert leaks(files) == []
    assert json.loads(files["manifest.json"])["made_by"] == "command line"
    assert {"checks.json", "config.json", "databases.json", "journal.txt", "system.json"} <= set(files)
    assert "the bundle holds what the disk and the machine tell" in capsys.readouterr().err


async def test_a_hub_without_a_usable_configuration_has_one_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.cli.doctor.examine_here", lambda *_, **__: {})
    monkeypatch.setattr(machine.Machine, "_run", staticmethod(journal_of("a line")))
    (tmp_path / "hub.toml").write_text(f'[cloud]\nbase_url = "{KEY}"\n')
    target = tmp_path / "bundle"
    assert await command("--output", target, "--config", tmp_path / "hub.toml") == exit_codes.OK
    files = unpack(target.read_bytes())
    assert leaks(files) == []
    assert files["journal.txt"] == b"a line"


# Encryption.


@pytest.fixture
def operator(tmp_path: Path) -> tuple[Path, Path]:
    """Make the operator's certificate and key with openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    certificate, key = tmp_path / "operator.pem", tmp_path / "operator.key"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=operator", "-days", "2"]
    subprocess.run([*request, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


def decrypt(sealed: Path, certificate: Path, key: Path) -> bytes:
    words = ["openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-in", str(sealed), "-inkey", str(key)]
    return subprocess.run([*words, "-recip", str(certificate)], check=True, capture_output=True).stdout


async def test_only_the_operator_reads_an_encrypted_bundle(
    tmp_path: Path, operator: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = operator
    monkeypatch.setattr(machine.Machine, "_run", staticmethod(journal_of("Undervoltage detected!")))
    target = tmp_path / "bundle.p7m"
    async with open_port(tmp_path) as rig:
        words = ("--output", target, "--encrypt-to", certificate, "--socket", rig.socket)
        assert await command(*words) == exit_codes.OK
    assert b"manifest.json" not in target.read_bytes()
    assert set(unpack(decrypt(target, certificate, key))) >= EXPECTED


async def test_a_file_that_is_no_certificate_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "no.pem").write_text("hello")
    assert await command("--output", tmp_path / "bundle", "--encrypt-to", tmp_path / "no.pem") == 1
    assert "name a certificate in PEM" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()


def elliptic_certificate() -> bytes:
    from cryptography import x509  # noqa: PLC0415 - heavy
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "operator")])
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=1))
    certificate: Any = made.sign(key, hashes.SHA256())
    encoded: bytes = certificate.public_bytes(serialization.Encoding.PEM)
    return encoded


async def test_a_key_that_cms_cannot_use_here_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ec.pem").write_bytes(elliptic_certificate())
    assert await command("--output", tmp_path / "bundle", "--encrypt-to", tmp_path / "ec.pem") == 1
    assert "use a certificate with an RSA key" in capsys.readouterr().err


async def test_the_configuration_in_a_bundle_is_the_hubs_own_document(tmp_path: Path) -> None:
    """What was changed at the hub is in it, as it is in force and by whom."""
    async with run_daemon(tmp_path) as rig:
        assert (await rig.ask("PATCH", "/v1/config", {"changes": {"log.level": "debug"}}))[0] == 200
        connector = aiohttp.UnixConnector(str(rig.socket))
        async with (
            aiohttp.ClientSession("http://hub", connector=connector) as client,
            client.get("/v1/support-bundle") as response,
        ):
            files = unpack(await response.read())
    report = json.loads(files["config.json"])
    assert set(report) == {"file", "keys", "trial", "last_trial", "problem", "is_restarting", "outputs"}
    rows = {row["key"]: row for row in report["keys"]}
    assert rows["log.level"] == {
        "key": "log.level", "text": '"debug"', "unit": "", "origin": "changed at the hub", "edit": "live",
    }  # fmt: skip
    assert rows["cloud.base_url"]["origin"] == f"{rig.path}:3"
