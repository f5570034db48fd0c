"""A release from a file: a signed bundle is taken in and installed, another is refused with what to do."""

from pathlib import Path

from playwright.async_api import FilePayload, expect

from agent.cli.root import run
from agent.foundation.disk import Disk
from agent.ota import keys
from agent.ota.bundle_builder import BundleTarget
from tests.browser.conftest import PHONE, TWO_ROOMS, Visit, Visitor
from tests.integration.port_rig import PortRig, open_port
from tests.unit.ota.conftest import STRANGER, make

TARGET = BundleTarget("2.0.0", 6, ("hub",), "test", "")
"""For the release that `open_port` says it runs."""


def signer(directory: Path) -> bytes:
    """Make a key pair as `climahub bundle keygen` does; the public key is trusted. Return the private key."""
    (directory / "keys").mkdir()
    assert run(["bundle", "keygen", str(directory / "keys" / "maker")]) == 0
    return keys.read_private(directory / "keys" / "maker.key", Disk())


async def bring(visitor: Visitor, data: bytes) -> None:
    """Choose a file and send it."""
    page = visitor.page
    await page.get_by_label("Bundle").set_input_files(
        FilePayload(name="release.chb", mimeType="application/octet-stream", buffer=data)
    )
    await page.get_by_role("button", name="Install", exact=True).click()


async def test_a_signed_bundle_is_installed_and_others_are_refused_in_words(visit: Visit, tmp_path: Path) -> None:
    private = signer(tmp_path)
    good = make(private=private, target=TARGET).data
    async with (
        open_port(tmp_path, config_text=f'{TWO_ROOMS}\n[ota]\nkeys_dir = "{tmp_path}/keys"\n') as hub,
        visit(hub, size=PHONE) as visitor,
    ):
        page = visitor.page
        await visitor.sign_in()
        await visitor.go("updates", "Updates")
        alert = page.get_by_role("alert")
        refused = {
            b"this is no bundle, but a letter": "choose the file of a release",
            make(private=STRANGER, target=TARGET).data: "sign",
            good[:-1] + bytes([good[-1] ^ 1]): "damaged",
        }
        for data, why in refused.items():
            await bring(visitor, data)
            await expect(alert).to_contain_text(why)
        await visitor.picture("updates-phone")
        assert installed(hub) == ""
        await bring(visitor, good)
        await expect(alert).to_have_count(0)
        release = page.get_by_role("region", name="Release 1.0.0")
        await expect(release).to_contain_text("ready to restart")
        await expect(release).to_contain_text("2.0.0")
        await visitor.picture("updates-installed-phone")
        assert installed(hub) == "2.0.0"


def installed(hub: PortRig) -> str:
    """The release that was taken in."""
    assert hub.hub.updates is not None
    return hub.hub.updates.store.record.offer.version
