"""Sensor chips on I2C that no kernel driver is bound to: read from user space, over /dev/i2c-N.

Imports nothing by itself: the chip files are needed only on a board that has such a bus.
"""
