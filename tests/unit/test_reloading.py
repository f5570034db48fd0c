import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from yarl import URL

from agent.config import load
from agent.errors import ConfigInvalid
from agent.reloading import ReloadableConfig

KEY, OTHER_KEY = ("cs_dev_" + letter * 32 for letter in "ab")


@pytest.fixture(autouse=True)
def level() -> Iterator[None]:
    before = logging.getLogger().level
    yield
    logging.getLogger().setLevel(before)


class Hub:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config = directory / "hub.toml"
        self.put("key", KEY)
        self.put("keys.toml", 'T1 = "one"\n')
        self.write()
        self.reloadable = ReloadableConfig(self.config, load(self.config, environ={}), {})
        self.keys = self.reloadable.read_keys()

    def put(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text)
        (self.directory / name).chmod(0o600)

    def write(self, cloud: str = "", rest: str = "") -> None:
        text = f'[cloud]\nbase_url = "https://cloud.example"\napi_key_file = "key"\n{cloud}\n'
        self.config.write_text(f'{text}[relayed_sensors]\nsensor_keys_file = "keys.toml"\n{rest}')

    async def reload(self) -> None:
        self.reloadable.reload()
        await asyncio.gather(*self.reloadable._tasks)


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return Hub(tmp_path)


async def test_keys_and_log_level_are_reloaded(hub: Hub) -> None:
    told: list[str] = []
    hub.reloadable.on_reload(lambda: told.append(hub.reloadable.read_api_key()))
    hub.put("key", OTHER_KEY)
    hub.put("keys.toml", 'T2 = "two"\n')
    hub.write(rest='[log]\nlevel = "debug"\n')
    await hub.reload()
    assert told == [OTHER_KEY]
    assert hub.keys == {"T2": "two"}
    assert logging.getLogger().level == logging.DEBUG


async def test_changes_that_need_a_restart_are_named_and_not_applied(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    hub.write("batch_linger_s = 5", rest='[storage]\ncommit_interval_s = 1\n[log]\nformat = "json"\n')
    await hub.reload()
    assert "only at the next start: cloud.batch_linger_s, log.format, storage.commit_interval_s" in caplog.text
    assert hub.reloadable.settings.cloud.batch_linger_s == 120


@pytest.mark.parametrize(
    ("file", "text"),
    [("hub.toml", "[cloud"), ("keys.toml", "T1 = 7"), ("key", "no key"), ("ca.pem", "no certificate")],
)
async def test_invalid_file_is_reported_and_the_old_values_stay(
    hub: Hub, caplog: pytest.LogCaptureFixture, file: str, text: str
) -> None:

    def read_key() -> None:
        hub.reloadable.read_api_key()

    hub.reloadable.on_reload(read_key)
    address = URL("https://cloud.example")
    before = hub.reloadable.connection.for_url(address)
    hub.write('ca_file = "ca.pem"' if file == "ca.pem" else "")
    hub.put(file, text)
    await hub.reload()
    assert "what was replaced is not used" in caplog.text
    assert hub.keys == {"T1": "one"}
    assert hub.reloadable.connection.for_url(address) == before
    assert file.startswith(("hub", "ca")) or text not in caplog.text


@pytest.mark.parametrize(("text", "left"), [('T1 = 7\nT2 = "two"\n', {"T2": "two"}), ("T1 = two", {})])
def test_invalid_sensor_key_does_not_affect_the_others_or_the_start(hub: Hub, text: str, left: dict[str, str]) -> None:
    hub.put("keys.toml", text)
    assert hub.reloadable.read_keys() == left
    (problem,) = hub.reloadable.problems
    assert "keys.toml: " in problem
    hub.put("keys.toml", 'T1 = "one"\n')
    assert hub.reloadable.read_keys() == {"T1": "one"}
    assert hub.reloadable.problems == []


def test_unreadable_keys_at_the_start_are_an_error(hub: Hub) -> None:
    hub.put("keys.toml", "x" * 100_000)
    with pytest.raises(ConfigInvalid):
        hub.reloadable.read_keys()


async def test_what_was_changed_at_the_hub_stays_over_a_reload(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    values = {"log.level": "error", "cloud.batch_linger_s": 7}
    hub.reloadable.use(hub.reloadable.resolve(values), values)
    assert logging.getLogger().level == logging.ERROR
    hub.write(rest='[log]\nlevel = "debug"\n')
    await hub.reload()
    assert logging.getLogger().level == logging.ERROR
    assert hub.reloadable.settings.cloud.batch_linger_s == 7
    assert "only at the next start" not in caplog.text


async def test_a_changed_proxy_is_for_the_next_hub_and_reloaded_files_stay(hub: Hub) -> None:
    hub.put("other", OTHER_KEY)
    hub.config.write_text(hub.config.read_text().replace('"key"', '"other"'))
    await hub.reload()
    before = hub.reloadable.connection
    values = {"cloud.proxy": "http://proxy.example:3128"}
    hub.reloadable.use(hub.reloadable.resolve(values), values)
    assert hub.reloadable.read_api_key() == OTHER_KEY
    assert hub.reloadable.connection is not before
    assert "proxy" in hub.reloadable.connection.for_url(URL("https://cloud.example"))
    assert "proxy" not in before.for_url(URL("https://cloud.example"))


async def test_the_file_counts_as_it_was_at_the_start(hub: Hub) -> None:
    hub.config.write_text("[cloud")
    assert hub.reloadable.resolve({"cloud.batch_linger_s": 7}).config.cloud.batch_linger_s == 7
    with pytest.raises(ConfigInvalid, match="batch_linger_s"):
        hub.reloadable.resolve({"cloud.batch_linger_s": -1})


def test_a_certificate_of_the_hub_that_cannot_be_used_costs_the_cloud_and_not_the_heat(hub: Hub) -> None:
    hub.put("client.pem", "no certificate")
    hub.put("client.key", "s3cret")
    hub.write(cloud='client_certificate_file = "client.pem"\nclient_key_file = "client.key"')
    broken = ReloadableConfig(hub.config, load(hub.config, environ={}), {})
    broken.read_keys()
    (problem,) = (each for each in broken.problems if "client_certificate_file" in each)
    assert str(hub.directory / "client.key") in problem
    assert "s3cret" not in problem
