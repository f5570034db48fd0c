"""What every room stands on: clock, disk, database, quotas' back-off, host, redaction. Knows nothing of any room."""
