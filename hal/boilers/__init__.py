"""Boilers behind a gateway, driven by a flow temperature: OpenTherm (OTGW) and eBUS (ebusd)."""
