"""An emulated Zigbee coordinator, and the sensors around it: what a host stack is tested against without hardware.

It speaks EZSP (the serial protocol of EmberZNet coordinators) over ASH on a pseudo terminal. From the wire inwards:
`ash` (reliable frames), `ezsp` (commands and callbacks of one protocol version), `coordinator` with `commands` (the
stick), `air` (who hears whom, and when), `node` with `zdo`, `zcl`, `reporting` and `models` (the sensors). All of these
are pure: bytes and the time go in, bytes and the next time come out. `emulator` puts them together; `serve` alone does
I/O.

Needs the extra `zigbee`: the command tables are those of bellows. Must never be imported by the daemon.
"""
