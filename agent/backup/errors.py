"""What a backup or a restoration refuses. A message never repeats a byte of a backup."""

from agent.errors import ClimahubError


class BackupRefused(ClimahubError):
    """It cannot be done as requested; the message begins with the remedy."""
