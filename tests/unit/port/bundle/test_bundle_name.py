"""Each bundle has a name of its own, also while the hub does not know the time."""

from agent.port.bundle.support_bundle import file_name


def test_a_bundle_is_named_by_the_time_or_by_the_time_since_the_boot() -> None:
    assert file_name(1_768_392_000_000, 60_000, is_zstd=True) == "climahub-support-2026-01-14-120000.tar.zst"
    names = [file_name(None, at_ms, is_zstd=False) for at_ms in (60_000, 61_000)]
    assert names == ["climahub-support-uptime-60s.zip", "climahub-support-uptime-61s.zip"]
