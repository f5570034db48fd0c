"""The serial console: sign-in, the command line over a bad cable, and files that leave through it."""
