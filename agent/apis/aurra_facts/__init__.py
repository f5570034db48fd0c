"""The Aurra facts API: memories with validity, timeline, audit and keyword search, from the hub's own fact store."""
