"""A hub that relays the sensors of another hub, over the Aqara Open API."""

from pathlib import Path

import pytest

from agent.config import resolve_text
from agent.config.reading import ConfigProblems
from agent.errors import PairingRefused
from agent.home.devices import DeviceKind
from hal.combined import CombinedNetwork
from hal.interface import SensorKind
from hal.radio import RadioState
from tests.integration.api_rig import open_apis
from tests.integration.conftest import until
from tests.integration.port_rig import PortRig, open_port


def reader_text(url: str, directory: Path, token: str) -> str:
    """Return the configuration of a hub that reads another."""
    file = directory / "token"
    file.write_text(token + "\n")
    file.chmod(0o600)
    return f"""\
[climate]
zones = [{{ id = "living", sensors = ["bedroom"] }}]
[aqara]
url = "{url}/aqara/open/api"
token_file = "{file}"
poll_interval_s = 10
"""


def problem_of(port: PortRig) -> str:
    receiver = port.hub.telemetry.receiver
    return receiver.problem if receiver else ""


async def test_sensors_of_another_hub_are_relayed_and_control_a_zone(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    async with open_apis(one, "aqara") as apis:
        await until(lambda: apis.home.thermostats.get("bedroom").temperature_c is not None)
        token = (await apis.client("aqara")).secret
        text = reader_text(apis.url, other, token)
        async with open_port(other, config_text=text) as port:
            home = port.hub.home.home
            await until(lambda: home.thermostats.get("living").temperature_c is not None)
            found = {each.device_id: each for each in home.devices.all() if each.kind is DeviceKind.SENSOR}
            assert found.keys() == {"aqara:hub.0", "aqara:living", "aqara:bedroom"}
            bedroom = found["aqara:bedroom"]
            assert (bedroom.name, bedroom.is_online, bedroom.manufacturer) == ("bedroom", True, "Aqara")
            assert bedroom.measured(SensorKind.TEMPERATURE) == pytest.approx(
                apis.home.thermostats.get("bedroom").temperature_c, abs=0.5
            )
            hub = found["aqara:hub.0"]
            assert 800 < (hub.measured(SensorKind.PRESSURE) or 0) < 1200
            assert not problem_of(port)
    # The sensors are known before anybody answers.
    async with open_port(other, config_text=text) as port:
        assert {each.device for each in port.hub.pairing.queries.sensors} == set(found)
        await until(lambda: problem_of(port))
        assert "check the network" in problem_of(port)
        assert not any(each.is_online for each in port.hub.home.home.devices.all() if each.kind is DeviceKind.SENSOR)


async def test_token_that_is_refused_is_told_and_stops_nothing(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    async with open_apis(one, "aqara") as apis:
        text = reader_text(apis.url, other, "aqara_wrong")
        async with open_port(other, config_text=text) as port:
            await until(lambda: problem_of(port))
            assert "get another token" in problem_of(port)
            assert "aqara_wrong" not in problem_of(port)


async def test_token_file_that_everybody_can_read_is_told(tmp_path: Path) -> None:
    text = reader_text("http://127.0.0.1:9", tmp_path, "t")
    (tmp_path / "token").chmod(0o644)
    async with open_port(tmp_path, config_text=text) as port:
        await until(lambda: problem_of(port))
        assert "chmod o-rwx" in problem_of(port)


async def test_beside_a_stick_each_network_fails_alone(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    async with open_apis(one, "aqara") as apis:
        token = (await apis.client("aqara")).secret
        text = reader_text(apis.url, other, token) + f'[zigbee]\nport = "{other}/no-stick"\n'
        async with open_port(other, config_text=text) as port:
            home, pairing = port.hub.home.home, port.hub.pairing
            assert isinstance(port.hub.environment.board.network, CombinedNetwork)
            await until(lambda: home.thermostats.get("living").temperature_c is not None)
            await until(lambda: "no-stick" in problem_of(port))
            assert pairing.queries.radio is not None
            assert pairing.queries.radio.radio.state is RadioState.LOST
            online = {each.device: each.is_online for each in pairing.queries.links}
            assert online["aqara:bedroom"]
            with pytest.raises(PairingRefused, match="remove it at the Aqara endpoint"):
                await pairing.actions.remove("aqara:bedroom")
    # The other way round: the endpoint is gone, and the stick still asked.
    async with open_port(other, config_text=text) as port:
        await until(lambda: "no-stick" in problem_of(port) and ";" in problem_of(port))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('[aqara]\nurl = "https://hub/open/api"', "aqara.url needs a token"),
        ('[aqara]\nurl = "http://hub/open/api"\ntoken_file = "t"', "plain http would send the key in the clear"),
    ],
)
def test_configuration_that_cannot_work_is_refused(tmp_path: Path, table: str, message: str) -> None:
    with pytest.raises(ConfigProblems) as refused:
        resolve_text(table, file="test", directory=tmp_path, environ={})
    assert any(message in str(problem) for problem in refused.value.problems)
