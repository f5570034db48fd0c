"""The durable queue of readings: on SQLite, until the cloud has accepted them."""
