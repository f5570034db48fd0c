"""The whole hub in virtual time, with faults and oracles: `climahub simulate`. Needs async-solipsism.

`options` says what to do and draws what goes wrong; `run` wires cloud, hub, workloads and oracles; `hub_lifecycle`
boots the machine and runs its processes; `machine` is the hardware; `scenario` the house; the `*_workload`s and
`visitors` act on hub and cloud; the `*_oracle`s judge; `crash_points` cuts the power at every durable operation.
`heating` and `heating_year` step the climate control without an event loop.
"""
