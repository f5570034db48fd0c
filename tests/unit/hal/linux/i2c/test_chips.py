"""Each chip by its datasheet: the bytes of its example give the values of its example."""

import pytest

from hal.channels import QUANTITY_UNITS, Quantity
from hal.errors import SensorUnavailable
from hal.linux.i2c import bme280, bme680, lm75
from hal.linux.i2c.chip import ChipNotReady
from hal.linux.i2c.known_chips import CHIPS
from hal.linux.i2c.sensirion import command, crc8, words
from tests import emulated_chips as emulated
from tests.unit.hal.linux.i2c.conftest import BY_NAME, Bench

T, H, P, CO2 = Quantity.TEMPERATURE, Quantity.HUMIDITY, Quantity.PRESSURE, Quantity.CO2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sht3x", {T: 42.5, H: 50.0}),
        ("sht4x", {T: 25.0, H: 50.0}),
        ("shtc3", {T: -1.25, H: 25.0}),
        ("scd4x", {CO2: 500.0, T: 25.0, H: 37.0}),
        ("scd30", {CO2: 439.09, T: 27.2, H: 48.8}),
        ("htu21", {T: 24.7, H: 32.3}),
        ("tmp102", {T: 25.0}),
        ("lm75", {T: 25.5}),
        ("max17048", {Quantity.BATTERY: 87.5, Quantity.VOLTAGE: 3.90625}),
        ("ina219", {Quantity.VOLTAGE: 12.0, Quantity.SHUNT_VOLTAGE: -0.02}),
        ("ens160", {Quantity.AQI_UBA: 2.0, Quantity.TVOC: 350.0, Quantity.ECO2: 700.0}),
    ],
)
def test_the_words_of_the_datasheet_give_its_values(bench: Bench, name: str, expected: dict[Quantity, float]) -> None:
    bench.plug(name)
    assert bench.values(name) == pytest.approx(expected, rel=0.002)


def test_every_chip_gives_what_it_says_it_measures() -> None:
    assert set(emulated.ALL) == set(BY_NAME)
    assert all(quantity in QUANTITY_UNITS for chip in CHIPS for quantity in chip.quantities)
    assert all(emulated.ALL[chip.name][0] in chip.addresses for chip in CHIPS)


@pytest.mark.parametrize(
    ("data", "initial", "expected"),
    [(b"\xbe\xef", 0xFF, 0x92), (b"\xdc", 0, 0x79), (b"\x68\x3a", 0, 0x7C), (b"\x4e\x85", 0, 0x6B)],
)
def test_checksums_are_those_of_the_datasheets(data: bytes, initial: int, expected: int) -> None:
    assert crc8(data, initial) == expected


def test_arguments_of_commands_have_their_checksum() -> None:
    assert command(0x260F, 0x8000, 0x6666).hex() == "260f8000a2666693"
    assert command(0x0010, 0).hex() == "0010000081"


def test_a_wrong_checksum_is_told_with_its_word() -> None:
    with pytest.raises(SensorUnavailable, match="checksum of word 1 is 0x00 and should be 0x92"):
        words(b"\xbe\xef\x92\xbe\xef\x00")


class TestBme280:
    def test_temperature_and_pressure_are_those_of_bosch(self, bench: Bench) -> None:
        bench.plug("bme280")
        values = bench.values("bme280")
        assert values[T] == 25.08
        assert values[P] == pytest.approx(1006.5325, abs=0.0001)

    def test_humidity_is_that_of_the_formula_in_floating_point(self, bench: Bench) -> None:
        """The datasheet's 8.1, written another time."""
        bench.plug("bme280")
        h1, h2, h3, h4, h5, h6 = emulated.BME280_H
        t_fine = bme280.fine_temperature(emulated.BMP280_ADC_T, emulated.BMP280_T)
        fine = t_fine - 76800.0
        value = (emulated.BME280_ADC_H - (h4 * 64.0 + h5 / 16384.0 * fine)) * (
            h2 / 65536.0 * (1.0 + h6 / 67108864.0 * fine * (1.0 + h3 / 67108864.0 * fine))
        )
        assert bench.values("bme280")[H] == pytest.approx(value * (1.0 - h1 * value / 524288.0), abs=0.02)

    def test_negative_calibration_words_that_share_a_byte(self) -> None:
        low = bytes(26)
        words_h = bme280.calibration_of(low, bytes([0, 0, 0, 0xFF, 0x5A, 0xFE, 0])).h
        assert words_h[3] == -16 + 0xA
        assert words_h[4] == -32 + 0x5

    def test_extremes_stay_within_the_range(self) -> None:
        assert bme280.humidity_percent(0, 128422, emulated.BME280_H) == 0
        assert bme280.humidity_percent(0xFFFF, 128422, emulated.BME280_H) == 100
        assert bme280.pressure_pa(1, 0, (0,) * 9) == 0

    def test_a_reset_during_the_measurement_is_no_value(self, bench: Bench) -> None:
        bench.plug("bme280").registers[0xFA:0xFD] = emulated.twenty_bits(0x80000)
        with pytest.raises(SensorUnavailable, match="check its supply: it was reset"):
            bench.values("bme280")

    def test_a_measurement_that_never_ends_is_given_up(self, bench: Bench) -> None:
        bench.plug("bme280").registers[0xF3] = 0x08
        with pytest.raises(SensorUnavailable, match="does not end measuring"):
            bench.values("bme280")
        assert bench.waited_s < 0.1

    def test_it_measures_in_forced_mode(self, bench: Bench) -> None:
        chip = bench.plug("bme280")
        bench.values("bme280")
        assert chip.written == [(0xF2, 0x01), (0xF4, 0x25)]


class TestBme680:
    def test_values_are_those_of_the_published_chip(self, bench: Bench) -> None:
        """Within 1 Pa: the library that published them divides large numbers differently from the datasheet."""
        bench.plug("bme680")
        values = bench.values("bme680")
        assert values[T] == 26.69
        assert values[H] == 42.402
        assert values[P] == pytest.approx(987.12, abs=0.011)

    def test_gas_resistance(self) -> None:
        assert bme680.gas_ohm(0, 0, 0) == 12946860
        assert bme680.gas_688_ohm(0, 0) == 102400000

    @pytest.mark.parametrize("gas_range", range(16))
    def test_gas_resistance_in_integers_is_that_in_floating_point(self, gas_range: int) -> None:
        """The datasheet's 3.4.1 with its constants in per cent."""
        k1 = [0, 0, 0, 0, 0, -1, 0, -0.8, 0, 0, -0.2, -0.5, 0, -1, 0, 0]
        k2 = [0, 0, 0, 0, 0.1, 0.7, 0, -0.8, -0.1, 0, 0, 0, 0, 0, 0, 0]
        scale = 1340 * (1 + k1[gas_range] / 100)
        expected = 1 / ((1 + k2[gas_range] / 100) * 0.000000125 * (1 << gas_range) * ((420 - 512) / scale + 1))
        assert bme680.gas_ohm(420, gas_range, 0) == pytest.approx(expected, rel=0.001)

    def test_a_bme688_has_its_own_formula_and_registers(self, bench: Bench) -> None:
        bench.wire.chips[0x77] = chip = emulated.bme680(variant=1, gas_raw=512, gas_range=4)
        assert bench.values("bme680")[Quantity.GAS_RESISTANCE] == 1e6 * (262144 >> 4) / 4096
        assert (0x71, 0x20) in chip.written

    @pytest.mark.parametrize("state", [0x00, 0x10, 0x20])
    def test_without_the_heater_s_temperature_only_the_gas_is_missing(self, bench: Bench, state: int) -> None:
        bench.wire.chips[0x77] = emulated.bme680(gas_state=state)
        reader = bench.reader("bme680")
        assert reader.read(T) == 26.69
        with pytest.raises(SensorUnavailable, match=r"i2c-1 0x77 \(bme680\): wait .* no gas_resistance"):
            reader.read(Quantity.GAS_RESISTANCE)

    def test_the_heater_is_set_for_the_temperature_of_the_room(self) -> None:
        calibration = bme680.Calibration((), (), (), emulated.BME680_G, (1, 48, 0))
        cold, warm = (bme680.heater_byte(320, ambient_c, calibration) for ambient_c in (-20, 60))
        assert cold != warm
        assert all(0 < value < 256 for value in (cold, warm))

    def test_a_measurement_that_never_ends_is_given_up(self, bench: Bench) -> None:
        bench.plug("bme680").registers[0x1D] = 0
        with pytest.raises(SensorUnavailable, match="does not end measuring"):
            bench.values("bme680")

    def test_impossible_calibration(self) -> None:
        assert bme680.pressure_pa(1, 0, (0,) * 10) == 0
        assert bme680.quotient(-7, 2) == -3


@pytest.mark.parametrize(
    ("raw", "expected"),
    [(0x7FF, 127.9375), (0x640, 100), (0x190, 25), (0x004, 0.25), (0xFFC - 4096, -0.25), (0xE70 - 4096, -25)],
)
def test_temperatures_of_a_tmp102(raw: int, expected: float) -> None:
    """Table 8-2 of its datasheet."""
    assert lm75.tmp102_c(raw << 4) == expected


def test_temperatures_of_an_lm75() -> None:
    assert [lm75.lm75_c(raw << 7) for raw in (250, 50, 1, 0, -1, -50, -110)] == [125, 25, 0.5, 0, -0.5, -25, -55]


class TestChipsThatMeasureByThemselves:
    @pytest.mark.parametrize(("name", "start"), [("scd4x", b"\x21\xac"), ("scd30", b"\x00\x10\x00\x00\x81")])
    def test_it_is_started_once_and_read_when_it_is_ready(self, bench: Bench, name: str, start: bytes) -> None:
        chip = bench.plug(name)
        chip.is_measuring = chip.is_ready = False
        reader = bench.reader(name)
        for _ in range(3):
            with pytest.raises(ChipNotReady, match="wait: it measures every"):
                reader.read(CO2)
        assert chip.written.count(start) == 1
        chip.let_measure()
        assert reader.read(CO2) > 400

    def test_one_that_measures_already_is_read_on(self, bench: Bench) -> None:
        chip = bench.plug("scd4x")
        chip.is_ready = False
        reader = bench.reader("scd4x")
        with pytest.raises(ChipNotReady):
            reader.read(CO2)
        chip.let_measure()
        assert reader.read(CO2) == 500

    def test_the_latest_value_serves_until_the_next_and_no_longer_than_a_minute(self, bench: Bench) -> None:
        bench.plug("scd4x")
        reader = bench.reader("scd4x")
        assert reader.read(CO2) == 500
        bench.now_ms += 59_000
        assert reader.read(CO2) == 500
        bench.now_ms += 1_000
        with pytest.raises(ChipNotReady):
            reader.read(CO2)

    @pytest.mark.parametrize("name", ["scd4x", "scd30"])
    def test_no_co2_at_all_is_no_value(self, bench: Bench, name: str) -> None:
        chip = bench.plug(name)
        chip.answers[chip.read_code] = (0,) * len(chip.answers[chip.read_code])
        with pytest.raises(SensorUnavailable, match="found no CO2 at all"):
            bench.values(name)

    def test_the_first_signal_of_an_sgp40_is_discarded(self, bench: Bench) -> None:
        bench.plug("sgp40")
        reader = bench.reader("sgp40")
        with pytest.raises(ChipNotReady):
            reader.read(Quantity.GAS_SIGNAL)
        assert reader.read(Quantity.GAS_SIGNAL) == 0x7D00


class TestEns160:
    @pytest.mark.parametrize(
        ("status", "message"), [(0x86, "wait 3 minutes"), (0x8A, "wait an hour"), (0x8E, "error"), (0xC2, "error")]
    )
    def test_what_is_not_valid_is_no_value(self, bench: Bench, status: int, message: str) -> None:
        bench.plug("ens160").registers[0x20] = status
        with pytest.raises(SensorUnavailable, match=message):
            bench.values("ens160")

    def test_an_index_that_does_not_exist_is_no_value(self, bench: Bench) -> None:
        bench.plug("ens160").registers[0x21] = 7
        with pytest.raises(SensorUnavailable, match="error"):
            bench.values("ens160")

    def test_it_is_switched_on(self, bench: Bench) -> None:
        chip = bench.plug("ens160")
        chip.registers[0x10] = 0
        with pytest.raises(ChipNotReady, match="switched on just now"):
            bench.values("ens160")
        assert chip.written == [(0x10, 2)]
        assert bench.values("ens160")[Quantity.TVOC] == 350


def test_a_full_gauge_is_at_100_percent(bench: Bench) -> None:
    bench.plug("max17048").registers[0x04:0x06] = b"\x65\x00"
    assert bench.values("max17048")[Quantity.BATTERY] == 100


def test_humidity_of_zeros_is_no_value(bench: Bench) -> None:
    chip = bench.plug("htu21")
    chip.answers[b"\xf5"] = (0,)
    with pytest.raises(SensorUnavailable, match="answers with zeros"):
        bench.values("htu21")
