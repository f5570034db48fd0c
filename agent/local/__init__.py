"""The local API: documents and requests for people on this machine, and the table of routes. Decides nothing."""
