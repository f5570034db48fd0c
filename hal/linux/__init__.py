"""Board of a Linux machine: hwmon temperatures, mains and batteries, wireless signal, relays on GPIO lines.

Imports nothing by itself: the process that switches the relays off needs `hal.linux.gpio` and nothing else.
"""
