from pathlib import Path

import pytest

from agent.config import resolve_text
from agent.default_paths import DEFAULT_CONFIG, DEFAULT_SOCKET, keeps_default_socket

CLOUD = '[cloud]\nbase_url = "https://cloud.example"\n'


def socket_in(text: str) -> Path:
    return resolve_text(text, file="c.toml", directory=Path("/x"), environ={}).config.local_api.socket


@pytest.mark.parametrize(
    "text",
    [
        CLOUD,
        f'{CLOUD}[storage]\nrun_dir = "/run/climahub"\n[local_api]\nsocket = "status.sock"\n',
        f'{CLOUD}# socket = "other.sock"\n[storage]\n   # run_dir = "/tmp"\n',
        Path("config.example.toml").read_text(),
    ],
)
def test_default_socket_is_known_without_reading_the_keys(text: str) -> None:
    assert keeps_default_socket(text)
    assert socket_in(text) == DEFAULT_SOCKET


@pytest.mark.parametrize(
    "text",
    [
        f'{CLOUD}[local_api]\nsocket = "other.sock"\n',
        f'{CLOUD}[local_api]\n"socket"="other.sock" # ours\n',
        f'{CLOUD}[local_api]\n"sock\\u0065t" = "other.sock"\n',
        f'{CLOUD}[storage]\nrun_dir = "/run/other"\n',
        f'storage.run_dir = "/run/other"\n{CLOUD}',
        f'storage = {{ run_dir = "/run/other" }}\n{CLOUD}',
        f'local_api = {{ socket = "/run/other.sock" }}\n{CLOUD}',
    ],
)
def test_a_configuration_that_names_another_socket_is_read(text: str) -> None:
    assert not keeps_default_socket(text)
    assert socket_in(text) != DEFAULT_SOCKET


def test_configuration_of_the_service_is_the_one_that_the_unit_names() -> None:
    assert f"--config {DEFAULT_CONFIG}" in Path("systemd/climahub.service").read_text()
