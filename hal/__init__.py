"""Hardware abstraction: sensors, outputs, radios and boards. Never imports `agent`."""
