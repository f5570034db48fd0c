"""Any Linux machine as a board: hwmon temperatures, mains and batteries, wireless signal, relays.

Imports nothing by itself: relays are also switched off by a process that needs nothing else of it.
"""
