"""Chips that measure the machine itself and never a room."""

MACHINE_CHIPS = (
    "acpitz", "amdgpu", "bigcore", "coretemp", "cpu", "drivetemp", "gpu", "iwlwifi", "k10temp", "k8temp", "littlecore",
    "nouveau", "nvme", "pch_", "radeon", "rp1_adc", "rpi_volt", "soc", "x86_pkg_temp", "zenpower",
)  # fmt: skip
"""Prefixes of the names that Linux gives to such chips (drivers/hwmon, drivers/thermal)."""
