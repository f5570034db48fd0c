"""The last seven days of sensors and zones, for charts."""
