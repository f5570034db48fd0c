"""The pure parts of HomeKit: setup codes, records, the key exchange, and what is shown and asked of a zone."""

import itertools
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from aiohomekit.crypto.srp import SrpClient
from pyhap.util import long_to_bytes

from agent.apis.homekit import pairing_record, setup_code
from agent.apis.homekit.key_exchange import KeyExchange
from agent.apis.homekit.pairing_record import Controller, PairingRecord
from agent.apis.homekit.translation import (
    COOLING_THRESHOLD,
    CURRENT_TEMPERATURE,
    HEATING_THRESHOLD,
    HUMIDITY,
    TARGET_STATE,
    TARGET_TEMPERATURE,
    offered_modes,
    requests_of,
    values_of,
)
from agent.climate.model import Mode
from agent.climate.requests import SetRequest
from agent.errors import SettingInvalid
from agent.home.thermostat import Thermostat
from tests.unit.home.home_bench import HomeBench

CODE = "123-45-678"
SHORT = {"hash of the secret": 177, "public number": 255, "secret": 392}
"""Numbers of the hub in whose exchange something begins with a zero byte, counted from 2**200."""


@pytest.mark.parametrize("beyond", SHORT.values(), ids=list(SHORT))
def test_numbers_with_leading_zeros_are_right_codes_too(beyond: int) -> None:
    salt = bytes(range(1, 17))
    hub = KeyExchange(CODE.encode(), salt=salt, secret=2**200 + beyond)
    controller = SrpClient("Pair-Setup", CODE)
    controller.a = 2**120 + 7
    controller.A = pow(controller.g, controller.a, controller.n)
    controller.A_b = bytearray(controller.A.to_bytes(384))
    controller.set_salt(bytearray(salt))
    controller.set_server_public_key(long_to_bytes(hub.get_challenge()[1]))
    hub.set_A(bytes(controller.get_public_key_bytes()))
    proof = hub.verify(bytes(controller.get_proof_bytes()))
    assert proof is not None
    assert controller.verify_servers_proof_bytes(proof)
    assert long_to_bytes(hub.get_session_key()) == controller.get_session_key_bytes()


def test_a_code_is_eight_digits_and_none_that_is_forbidden() -> None:
    drawn = iter([(11_111_111).to_bytes(16), (12_345_678).to_bytes(16), (3_141_592).to_bytes(16)])
    assert setup_code.make_code(lambda _: next(drawn), 0).digits == "031-41-592"


def test_a_code_ends_after_an_hour_and_after_ten_wrong_ones() -> None:
    code = setup_code.SetupCode(CODE, made_ms=1000)
    assert code.admits(1000)
    assert code.admits(1000 + 3_599_000)
    assert not code.admits(1000 + 3_600_000)
    for _ in range(9):
        code = setup_code.with_wrong(code)
    assert code.admits(1000)
    assert not setup_code.with_wrong(code).admits(1000)
    assert CODE not in repr(code)


def test_attempts_are_limited_in_a_minute() -> None:
    code = setup_code.SetupCode(CODE, made_ms=0)
    for _ in range(12):
        code = setup_code.with_start(code, 100_000)
        assert code.admits(100_000)
    code = setup_code.with_start(code, 100_000)
    assert not code.admits(100_000)
    assert code.admits(160_000)
    assert setup_code.with_start(code, 160_000).starts == 1


def numbers() -> Callable[[int], bytes]:
    count = itertools.count(1)
    return lambda length: next(count).to_bytes(length)


def test_an_identity_is_made_once_and_a_damaged_key_unpairs() -> None:
    made = pairing_record.with_identity(PairingRecord(), numbers())
    assert made.accessory_id == "00:00:00:00:00:01"
    assert pairing_record.with_identity(made, numbers()) is made or made == pairing_record.with_identity(
        made, numbers()
    )
    phone = Controller("8A3F0000-0000-4000-8000-000000000001", "ab" * 32, is_admin=True)
    damaged = Controller("no id", "ab" * 32, is_admin=True)
    paired = pairing_record.with_controllers(made, [phone, damaged])
    assert pairing_record.with_identity(paired, numbers()).controllers == (phone,)
    without_key = msgspec.structs.replace(paired, private_key="zz")
    assert pairing_record.with_identity(without_key, numbers()).controllers == ()
    assert made.private_key not in repr(made)


def test_the_number_of_a_zone_is_never_given_to_another() -> None:
    record = pairing_record.with_zones(PairingRecord(), {"living": False, "bath": True}, {})
    assert [(name, zone.number, zone.has_humidity) for name, zone in record.zones.items()] == [
        ("living", 2, False),
        ("bath", 3, True),
    ]
    record = pairing_record.with_zones(record, {"attic": False}, {})
    record = pairing_record.with_zones(record, {"living": True, "bath": False}, {"bath": True})
    assert {name: zone.number for name, zone in record.zones.items()} == {"attic": 4, "living": 2, "bath": 3}
    assert record.zones["bath"].has_humidity
    assert record.zones["bath"].is_fahrenheit
    for number in range(70):
        record = pairing_record.with_zones(record, {f"zone {number}": False}, {})
    assert len(record.zones) == pairing_record.ZONES_MAX
    assert record.next_number == 75


def test_the_configuration_is_counted_where_it_differs() -> None:
    record = pairing_record.with_configuration(PairingRecord(), "a")
    assert record.configuration == 1
    assert pairing_record.with_configuration(record, "a") is record
    record = pairing_record.with_configuration(record, "b")
    assert record.configuration == 2
    last = msgspec.structs.replace(record, configuration=pairing_record.CONFIGURATION_MAX)
    assert pairing_record.with_configuration(last, "c").configuration == 1


@pytest.fixture
def bench(tmp_path: Path) -> HomeBench:
    return HomeBench(tmp_path)


def write(bench: HomeBench, zone_id: str, **written: float) -> Thermostat:
    thermostats = bench.home.thermostats
    thermostats.apply_all(zone_id, requests_of(thermostats.get(zone_id), written), by="homekit:1")
    return thermostats.get(zone_id)


def test_a_zone_that_only_heats_has_no_auto(bench: HomeBench) -> None:
    bath = bench.home.thermostats.get("bath")
    assert offered_modes(bath) == [Mode.HEAT, Mode.OFF]
    assert write(bench, "bath", **{TARGET_STATE: 0}).mode is Mode.OFF
    # Siri asks for auto whatever is offered.
    assert write(bench, "bath", **{TARGET_STATE: 3}).mode is Mode.HEAT
    bench.home.thermostats.apply("bath", SetRequest(mode=Mode.AUTO), by="page")
    assert values_of(bench.home.thermostats.get("bath"))[TARGET_STATE] == 1
    assert HEATING_THRESHOLD not in values_of(bath)
    with pytest.raises(SettingInvalid, match="cannot do state 2"):
        write(bench, "bath", **{TARGET_STATE: 2})
    with pytest.raises(SettingInvalid, match="cannot do state 7"):
        write(bench, "bath", **{TARGET_STATE: 7})


def test_a_temperature_is_that_of_the_mode(bench: HomeBench) -> None:
    assert offered_modes(bench.home.thermostats.get("living")) == [Mode.HEAT, Mode.COOL, Mode.OFF, Mode.AUTO]
    assert write(bench, "living", **{TARGET_STATE: 1, TARGET_TEMPERATURE: 21.3}).heat_setpoint_c == 21.3
    now = write(bench, "living", **{TARGET_STATE: 2, TARGET_TEMPERATURE: 24.5})
    assert (now.mode, now.heat_setpoint_c, now.cool_setpoint_c) == (Mode.COOL, 21.3, 24.5)
    now = write(bench, "living", **{TARGET_STATE: 3, HEATING_THRESHOLD: 20.0, COOLING_THRESHOLD: 25.0})
    assert (now.mode, now.heat_setpoint_c, now.cool_setpoint_c) == (Mode.AUTO, 20.0, 25.0)
    assert values_of(now)[TARGET_TEMPERATURE] == 22.5
    now = write(bench, "living", **{TARGET_TEMPERATURE: 21.5})
    assert (now.heat_setpoint_c, now.cool_setpoint_c) == (19.0, 24.0)


def test_what_is_shown_and_written_again_changes_nothing(bench: HomeBench) -> None:
    bench.home.thermostats.apply("living", SetRequest(heat_setpoint_c=(70 - 32) / 1.8), by="page")
    thermostat = bench.home.thermostats.get("living")
    assert values_of(thermostat)[TARGET_TEMPERATURE] == 21.1
    assert requests_of(thermostat, {TARGET_TEMPERATURE: 21.1, TARGET_STATE: 1}) == []


def test_what_is_not_known_is_left_out(bench: HomeBench) -> None:
    thermostat = msgspec.structs.replace(bench.home.thermostats.get("living"), temperature_c=None)
    assert not {CURRENT_TEMPERATURE, HUMIDITY} & set(values_of(thermostat))
    measured = msgspec.structs.replace(thermostat, temperature_c=20.04, humidity_percent=101.0)
    assert values_of(measured)[CURRENT_TEMPERATURE] == 20.0
    assert values_of(measured)[HUMIDITY] == 100
