"""The reference ClimaSense cloud: a strict device API with faults on demand, for the demo, CI and simulations.

`contract` has every fact and every assumption; `models` the wire format; `records` and `store` the state; `api` the
nine endpoints without I/O; `middleware` key, quota and faults; `http_api` both APIs on aiohttp; `faults` what can
go wrong; `admin` and `admin_client` provisioning, commands and firmware; `cloud` the whole.

It shares no code with `agent.cloud`, the client, so that one mistake is not made on both sides.
"""
