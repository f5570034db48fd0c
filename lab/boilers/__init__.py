"""Emulated boiler gateways, for tests: an OpenTherm Gateway and ebusd, each with a boiler behind it."""
