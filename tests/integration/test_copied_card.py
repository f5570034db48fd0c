"""Hubs that are provisioned from one image, each as a process with its own directories and its own machine.

Each claims once with `climahub setup`; a card that is copied, or moved to another board, is noticed, and loses nothing.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.cli import exit_codes
from agent.cli.setup.answers import read_answers
from agent.cli.setup.claim import NAME
from agent.cli.setup.key_store import KEY_FILE, KeyStore
from agent.cli.setup.procedure import Options, Places, Procedure, Steps
from agent.foundation.disk import Disk
from agent.machine.moved_card import FILE_NAME
from lab.refcloud.admin import NewDevice
from lab.refcloud.contract import Endpoint
from lab.refcloud.faults import ErrorStatus, FaultRule
from tests.integration.conftest import WAIT_S, Cloud, until

ROOT = Path(__file__).parents[2]
HUBS = 10
SYSTEM = "0123456789abcdef0123456789abcdef"
"""The machine-id that a copied card has in common with the card that it was copied from."""

START = """\
import os, pathlib, sys
from agent.foundation import clock, system_info
system_info.machine_ids = lambda: system_info.MachineIds(os.environ["BOARD"], os.environ["SYSTEM"])
clock._BOOT_ID = pathlib.Path(os.environ["BOOT"])
from agent.__main__ import main
sys.argv[0] = "climahub"
main()
"""
"""The agent on a board of its own: this machine's serial number is the same for every process."""


class Card:
    """The files of one hub, and the process that runs on them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.boot, self.etc, self.state = directory / "boot", directory / "etc", directory / "state"
        self.process: asyncio.subprocess.Process | None = None
        self.board = ""

    def copied_to(self, directory: Path) -> "Card":
        """Return a copy of the card, whose configuration names its own directories."""
        shutil.copytree(self.directory, directory, symlinks=True)
        made = Card(directory)
        for path in (made.etc / "config.toml", made.boot / NAME):
            if path.exists():
                path.write_text(path.read_text().replace(str(self.directory), str(directory)))
        return made

    def write_claim(self, key: str, url: str) -> None:
        """Put a claim file on the boot partition, as an operator does."""
        directory = self.directory
        self.boot.mkdir(parents=True, exist_ok=True)
        (self.boot / NAME).write_text(
            f'[setup]\nkey = "{key}"\n[cloud]\nbase_url = "{url}"\nbatch_linger_s = 0\n[board]\nname = "sim"\n'
            f'[board.sim]\nreport_interval_s = 1\n[clock]\ntrust = "system"\n[port]\nlisten = []\n'
            f'[storage]\nstate_dir = "{directory}/state"\nrun_dir = "{directory}/run"\ncommit_interval_s = 0.1\n'
            'disk_free_bytes_min = 0\n[climate]\nzones = [{ id = "living", sensors = ["sim/temperature"] }]\n'
        )

    def set_up(self) -> int:
        """Run `climahub setup --claim`; return its exit code."""
        disk, file = Disk(), self.boot / NAME
        procedure = Procedure(
            places=Places(etc=self.etc, drop_in=self.directory / "setup.conf"),
            keys=KeyStore(self.etc, disk=disk, has_creds=False),
            disk=disk,
            steps=Steps(lambda _: None, lambda: 0.0),
            options=Options(starts=False, wipes=True, replace=True),
            environ={},
        )
        text = file.read_text()
        return procedure.run(read_answers(text, file=str(file)), text=text, file=str(file))

    async def start(self, board: str, system: str = SYSTEM) -> None:
        """Start the hub in a board."""
        credentials = self.directory / "credentials"
        credentials.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(self.etc / KEY_FILE, credentials / "climahub-api-key")
        boot = self.directory / "boot-id"
        if board != self.board:
            # A card changes its board while the power is off.
            self.board = board
            boot.write_text(f"{uuid.uuid4()}\n")
        environ = os.environ | {
            "BOARD": board,
            "SYSTEM": system,
            "BOOT": str(boot),
            "CREDENTIALS_DIRECTORY": str(credentials),
        }
        command = (sys.executable, "-c", START, "run", "--config", str(self.etc / "config.toml"))
        with (self.directory / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=log, env=environ)

    async def stop(self) -> None:
        """End the hub, if it runs."""
        process, self.process = self.process, None
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(WAIT_S):
                await process.wait()

    async def ask(self, path: str, method: str = "GET") -> tuple[int, Any]:
        """Return status and document of the local API."""
        connector = aiohttp.UnixConnector(str(self.directory / "run" / "status.sock"))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.request(method, f"http://hub{path}") as response,
        ):
            return response.status, await response.json()

    async def until(self, path: str, holds: Callable[[Any], object]) -> Any:  # noqa: ANN401 - JSON
        """Wait until a document says something; return it."""
        async with asyncio.timeout(WAIT_S):
            while True:
                assert self.process is not None
                assert self.process.returncode is None, self.log
                with contextlib.suppress(aiohttp.ClientError, OSError):
                    status, document = await self.ask(path)
                    if status == 200 and holds(document):
                        return document
                await asyncio.sleep(0.05)

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()


Cards = Callable[[Card], Card]


@pytest.fixture
async def kept() -> AsyncIterator[Cards]:
    """Ends the hubs of a test."""
    cards: list[Card] = []

    def keep(card: Card) -> Card:
        cards.append(card)
        return card

    yield keep
    await asyncio.gather(*(card.stop() for card in cards))


async def claimed(kept: Cards, directory: Path, cloud: Cloud, name: str) -> Card:
    """Return a card with a key of its own, not started yet."""
    card = kept(Card(directory))
    key = cloud.reference.admin.provision(NewDevice(name=name)).api_key
    await asyncio.to_thread(card.write_claim, key, cloud.url)
    assert await asyncio.to_thread(card.set_up) == exit_codes.OK
    return card


def of_hub(cloud: Cloud, name: str) -> Sequence[object]:
    """Return the requests of a hub that the cloud has answered."""
    return [each for each in cloud.requests if each[0] == name]


def is_accepted(document: Any) -> bool:  # noqa: ANN401 - JSON
    return document["outbox"]["accepted"] > 0


async def test_moved_card_heats_keeps_its_readings_and_asks_a_person(tmp_path: Path, cloud: Cloud, kept: Cards) -> None:
    card = await claimed(kept, tmp_path / "card", cloud, "one")
    await card.start("board-1")
    await card.until("/v1/status", is_accepted)
    await card.stop()
    before = len(cloud.requests)
    await card.start("board-2")
    status = await card.until("/v1/status", lambda found: found["outbox"]["pending"] > 0)
    assert (status["machine"]["is_card_moved"], status["link"]["state"]) == (True, "unprovisioned")
    await card.until(
        "/v1/climate", lambda found: found["zones"][0]["room_c"] is not None and found["zones"][0]["action"]
    )
    _, checks = await card.ask("/v1/checks")
    (found,) = [each for each in checks["checks"] if each["name"] == "network-key"]
    assert (found["outcome"], "copied or moved to another board" in found["fact"]) == ("fail", True)
    assert [each["name"] for each in found["repairs"]] == ["confirm-moved-card", "reset-copied-card"]
    _, verdict = await card.ask("/v1/verdict")
    assert any("copied or moved" in sentence for sentence in verdict["sentences"])
    assert "the card was copied or moved to another board" in card.log
    assert len(cloud.requests) == before, "nothing is sent under the key"
    code, done = await card.ask("/v1/repairs/confirm-moved-card", "POST")
    assert (code, "used on this board" in done["done"]) == (200, True)
    await card.until("/v1/status", lambda found: is_accepted(found) and not found["machine"]["is_card_moved"])
    assert (await card.ask("/v1/repairs/reset-copied-card", "POST"))[0] == 409, "it is decided"
    await card.stop()
    await card.start("board-2")
    await card.until("/v1/status", is_accepted)


async def test_ten_hubs_from_one_image_claim_once_each_and_a_copy_is_noticed(
    tmp_path: Path, cloud: Cloud, kept: Cards
) -> None:
    image = Card(tmp_path / "image")
    image.boot.mkdir(parents=True)
    image.etc.mkdir()
    image.state.mkdir()
    cards = [kept(image.copied_to(tmp_path / f"hub-{number}")) for number in range(HUBS)]
    keys = [cloud.reference.admin.provision(NewDevice(name=f"hub-{number}")).api_key for number in range(HUBS)]
    for card, key in zip(cards, keys, strict=True):
        card.write_claim(key, cloud.url)
        assert await asyncio.to_thread(card.set_up) == exit_codes.OK
        assert not (card.boot / NAME).exists(), "a claim is taken once"
    await asyncio.gather(*(card.start(f"board-{number}", f"{number:032x}") for number, card in enumerate(cards)))
    await asyncio.gather(*(card.until("/v1/status", is_accepted) for card in cards))
    assert {name for name, _, _ in cloud.requests} >= {f"hub-{number}" for number in range(HUBS)}
    assert len({(card.state / FILE_NAME).read_bytes() for card in cards}) == HUBS
    assert not any("copied or moved" in card.log for card in cards)
    # A running card is copied with all that is on it, and the copy starts in another board.
    await cards[3].stop()
    copy = kept(cards[3].copied_to(tmp_path / "copy"))
    await cards[3].start("board-3", f"{3:032x}")
    await cards[3].until("/v1/status", is_accepted)
    (copy.directory / "log").unlink()
    await copy.start("board-10", f"{3:032x}")
    await copy.until("/v1/status", lambda found: found["machine"]["is_card_moved"] and found["outbox"]["pending"])
    assert copy.log.count("copied or moved to another board") == 1
    # It is made a hub of its own: nothing of the other one stays, and the other one's key stays barred.
    assert (await copy.ask("/v1/repairs/reset-copied-card", "POST"))[0] == 200
    await copy.until("/v1/status", lambda found: not found["machine"]["is_card_moved"])
    assert (await copy.ask("/v1/status"))[1]["link"]["state"] == "unprovisioned"
    await copy.stop()
    key = cloud.reference.admin.provision(NewDevice(name="hub-10")).api_key
    copy.write_claim(key, cloud.url)
    assert await asyncio.to_thread(copy.set_up) == exit_codes.OK
    await copy.start("board-10", f"{3:032x}")
    await copy.until("/v1/status", is_accepted)
    await until(lambda: of_hub(cloud, "hub-10"))


def sent_under(cloud: Cloud, name: str) -> list[int]:
    """Return the instants of the readings that the cloud has from a hub itself."""
    (device_id,) = [each.device_id for each in cloud.reference.admin.devices() if each.name == name]
    return [each.at_ms for each in cloud.reference.admin.readings().readings if each.device_id == device_id]


async def given_another_key(kept: Cards, directory: Path, cloud: Cloud) -> tuple[Card, int]:
    """Return a card with waiting readings after a start on another board with another key, and how many wait."""
    card = await claimed(kept, directory, cloud, "one")
    cloud.reference.set_faults([FaultRule(ErrorStatus(503), Endpoint.TELEMETRY)])
    await card.start("board-1")
    await card.until("/v1/status", lambda found: found["outbox"]["pending"] > 3)
    await card.stop()
    cloud.reference.set_faults([])
    card.write_claim(cloud.reference.admin.provision(NewDevice(name="two")).api_key, cloud.url)
    assert await asyncio.to_thread(card.set_up) == exit_codes.OK
    await card.start("board-2")
    status = await card.until("/v1/status", is_accepted)
    assert status["machine"]["holds_back"]
    assert not status["machine"]["is_card_moved"]
    return card, status["outbox"]["held"]


async def test_what_the_other_home_has_waiting_is_not_sent_under_a_new_key(
    tmp_path: Path, cloud: Cloud, kept: Cards
) -> None:
    card, held = await given_another_key(kept, tmp_path / "card", cloud)
    assert held > 3
    before_ms = min(sent_under(cloud, "two"))
    await card.stop()
    await card.start("board-2")
    status = await card.until("/v1/status", is_accepted)
    assert (status["outbox"]["held"], min(sent_under(cloud, "two"))) == (held, before_ms), "a restart decides nothing"
    _, checks = await card.ask("/v1/checks")
    (found,) = [each for each in checks["checks"] if each["name"] == "hub-unsendable"]
    assert [each["name"] for each in found["repairs"]] == ["send-held", "discard-held"]
    code, done = await card.ask("/v1/repairs/discard-held", "POST")
    assert (code, done["done"].startswith(f"{held} readings")) == (200, True)
    status = await card.until("/v1/status", is_accepted)
    assert (status["outbox"]["held"], status["machine"]["holds_back"]) == (0, False)
    assert (await card.ask("/v1/repairs/send-held", "POST"))[0] == 409, "it is decided"
    assert (min(sent_under(cloud, "two")), sent_under(cloud, "one")) == (before_ms, [])


async def test_a_moved_card_with_a_new_key_sends_what_waits_once_a_person_says_so(
    tmp_path: Path, cloud: Cloud, kept: Cards
) -> None:
    card, held = await given_another_key(kept, tmp_path / "card", cloud)
    before_ms = min(sent_under(cloud, "two"))
    assert (await card.ask("/v1/repairs/send-held", "POST"))[0] == 200
    await card.until("/v1/status", lambda found: not found["outbox"]["held"] and not found["outbox"]["sendable"])
    await until(lambda: sum(each < before_ms for each in sent_under(cloud, "two")) == held)


async def test_back_in_its_board_a_card_sends_its_own_readings_and_holds_those_of_the_other(
    tmp_path: Path, cloud: Cloud, kept: Cards
) -> None:
    card = await claimed(kept, tmp_path / "card", cloud, "one")
    await card.start("board-1")
    await card.until("/v1/status", is_accepted)
    await card.stop()
    await card.start("board-2")
    status = await card.until("/v1/status", lambda found: found["outbox"]["pending"] > 3)
    assert status["machine"]["is_card_moved"]
    await card.stop()
    await card.start("board-1")
    status = await card.until("/v1/status", is_accepted)
    held = status["outbox"]["held"]
    assert held > 3
    assert (status["machine"]["is_card_moved"], status["machine"]["holds_back"]) == (False, True)
    _, done = await card.ask("/v1/repairs/discard-held", "POST")
    assert done["done"].startswith(f"{held} readings")
    assert not (await card.ask("/v1/status"))[1]["machine"]["holds_back"]


async def test_a_card_that_was_prepared_without_a_key_on_another_board_asks_for_no_decision(
    tmp_path: Path, cloud: Cloud, kept: Cards
) -> None:
    card = await claimed(kept, tmp_path / "card", cloud, "one")
    key = (card.etc / KEY_FILE).rename(tmp_path / "key")
    config, named = card.etc / "config.toml", card.directory / "credentials" / "climahub-api-key"
    config.write_text(config.read_text().replace("[cloud]\n", f'[cloud]\napi_key_file = "{named}"\n'))
    await card.start("bench")
    status = await card.until("/v1/status", lambda found: found["outbox"]["pending"] > 3)
    prepared = status["outbox"]["pending"]
    assert status["link"]["state"] == "unprovisioned"
    await card.stop()
    key.rename(card.etc / KEY_FILE)
    await card.start("board-1")
    status = await card.until("/v1/status", is_accepted)
    assert (status["outbox"]["held"], status["machine"]["holds_back"]) == (0, False)
    await until(lambda: len(sent_under(cloud, "one")) > prepared)


async def test_a_key_of_its_own_decides_for_a_moved_card(tmp_path: Path, cloud: Cloud, kept: Cards) -> None:
    card = await claimed(kept, tmp_path / "card", cloud, "one")
    await card.start("board-1")
    await card.until("/v1/status", is_accepted)
    await card.stop()
    card.write_claim(cloud.reference.admin.provision(NewDevice(name="two")).api_key, cloud.url)
    assert await asyncio.to_thread(card.set_up) == exit_codes.OK
    await card.start("board-2")
    await card.until("/v1/status", is_accepted)
    assert of_hub(cloud, "two")
    assert "copied or moved" not in card.log
