"""An emulated Zigbee coordinator and the sensors around it, to test a host stack without hardware.

It speaks EZSP (the serial protocol of EmberZNet coordinators) over ASH on a pseudo terminal. From the wire inwards:
`ash` (reliable frames), `ezsp` (commands and callbacks of one protocol version), `coordinator` with the `*_commands`
(the stick), `radio_medium` (who receives what, and when), `node` with `application`, `attributes`, `zdo`, `zcl` and
`models` (the sensors). All of these are pure: bytes and the time go in, bytes and the next time come out. `emulator`
combines them; `server` and `serial_port` alone do I/O.

Needs the extra `zigbee`: the command tables are those of bellows. The daemon must never import it.
"""
