"""The technician's door: what the hub says of itself, over a Unix socket. Façades over the rooms, no decisions."""
