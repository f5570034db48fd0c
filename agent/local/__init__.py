"""The local API: documents and requests for people on this machine, over a Unix socket. Decides nothing."""
