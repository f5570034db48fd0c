"""The reference ClimaSense cloud: the device API, strictly, for the demo, CI and simulations; with faults on demand.

Where to look: `contract` (every fact and every assumption), `models` (wire), `records` and `store` (what is kept),
`api` (the nine endpoints, no I/O), `gate` (the one middleware: key, quota, faults), `faults` and `disguise` (what can
go wrong), `admin`, `admin_http` and `admin_client` (provisioning, commands, firmware), `cloud` (all of it together),
`serve` (alone on a port).

It shares no code with `agent.cloud`, the client, on purpose: one mistake must not be made twice.
"""
