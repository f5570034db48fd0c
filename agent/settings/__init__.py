"""The device settings: sync with the cloud, validation, who wins (the cloud does)."""
