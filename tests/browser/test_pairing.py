"""The pairing wizard against a real radio stack on an emulated stick, and a label that is read from a photo."""

import re
from pathlib import Path

import pytest
from playwright.async_api import FilePayload, expect

pytest.importorskip("bellows")

from lab.ncp.coordinator import JoinOutcome
from tests.browser.conftest import PHONE, TWO_ROOMS, Visit, Visitor
from tests.integration.conftest import Cloud, cloud
from tests.integration.port_rig import PortRig, open_port, radio_board
from tests.integration.zigbee_bench import Stick, hasten, one

__all__ = ["cloud"]

LABEL = "Z:000D6FFFFED4163B$I:52797BF4A5084DAA8E1712B61741CA024051"
PHOTO = Path(__file__).parent / "label.png"
"""The QR code of `LABEL`."""


@pytest.mark.slow
async def test_a_sensor_is_paired_named_and_given_its_key(
    visit: Visit, cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasten(monkeypatch)
    stick = Stick(tmp_path / "stick", house=one("climate"), version=13)
    radio = f'[zigbee]\nport = "{tmp_path}/stick/port"\nchannel = 15\n[clock]\ntrust = "system"\n'
    async with (
        stick.plugged_in() as sensors,
        open_port(tmp_path, config_text=TWO_ROOMS + radio, cloud_url=cloud.url) as hub,
        visit(hub, size=PHONE) as visitor,
    ):
        page = visitor.page
        await visitor.sign_in()
        await visitor.go("zigbee", "Zigbee")
        radio_state = page.get_by_role("region", name="Radio").get_by_text("up", exact=True)
        await expect(radio_state).to_be_visible()
        await page.get_by_role("link", name="Pair a sensor").click()
        await page.get_by_label("Name (where it hangs)").fill("attic")
        await page.get_by_role("button", name="Let it join").click()
        await expect(page.get_by_text("Press the sensor's button now.")).to_be_visible()
        assert sensors.press("one") is JoinOutcome.JOINED
        # Its key does not stand on its label: the wizard asks for it.
        await expect(page.get_by_text("Joined; its key is missing")).to_be_visible()
        await visitor.picture("pairing-phone")
        await page.get_by_label("ClimaSense key of attic").fill(cloud.sensor_key("attic"))
        await page.get_by_role("button", name="Give its key").click()
        sensors.report_all("one")
        await expect(page.get_by_text("Paired", exact=True)).to_be_visible()
        steps = page.get_by_role("list", name="Steps so far")
        await expect(steps).to_contain_text("registered with the cloud")
        await page.get_by_role("link", name="To the network").click()
        await page.get_by_text("attic", exact=False).first.click()
        await expect(page.get_by_text("Last heard")).to_be_visible()
        await expect(page.get_by_role("img", name=re.compile("Links"))).to_be_visible()
        await visitor.picture("zigbee-phone")


async def test_the_label_is_read_from_a_photo_on_the_device(visitor: Visitor, hub: PortRig) -> None:
    page = visitor.page
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(request.url))
    await visitor.go("zigbee/pair", "Pair a sensor")
    assert not [url for url in loaded if "qr" in url], "the decoder is loaded only when it is needed"
    await page.get_by_label("Photo of the QR code").set_input_files(PHOTO)
    await expect(page.get_by_label("Label or QR text")).to_have_value(LABEL)
    assert all(url.startswith(hub.url) for url in loaded if not url.startswith(("blob:", "data:")))
    # The page says that a photo has no code.
    await page.get_by_label("Photo of the QR code").set_input_files(
        FilePayload(name="no.svg", mimeType="image/svg+xml", buffer=b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    )
    await expect(page.get_by_text("No code found")).to_be_visible()


async def test_a_pairing_that_failed_says_what_failed_and_offers_to_try_again(visit: Visit, tmp_path: Path) -> None:
    async with (
        open_port(tmp_path, config_text=TWO_ROOMS, make_board=radio_board) as hub,
        visit(hub, size=PHONE) as visitor,
    ):
        page = visitor.page
        await visitor.sign_in()
        await visitor.go("zigbee/pair", "Pair a sensor")
        await page.get_by_role("button", name="Let it join").click()
        await expect(page.get_by_text("Press the sensor's button now.")).to_be_visible()
        await page.get_by_role("button", name="Close the join window").click()
        end = page.get_by_role("alert").filter(has_text="No sensor joined")
        await expect(end).to_contain_text("Hold its button until its light blinks")
        # The way on is the next try; the network is beside it.
        again = page.get_by_role("button", name="Try again")
        await expect(again).to_have_class("main")
        await expect(page.get_by_role("link", name="To the network")).not_to_have_class(re.compile("main"))
        await visitor.picture("pairing-failed-phone")
        await again.click()
        await expect(page.get_by_role("button", name="Let it join")).to_be_visible()


async def test_a_label_that_cannot_be_used_is_refused_in_the_hub_s_words(visitor: Visitor) -> None:
    await visitor.go("zigbee/pair", "Pair a sensor")
    await visitor.page.get_by_label("Label or QR text").fill("hello")
    await visitor.page.get_by_role("button", name="Let it join").click()
    await expect(visitor.page.get_by_role("alert")).to_be_visible()
