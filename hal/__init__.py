"""Hardware abstraction: what the agent may know of sensors, outputs, radios and boards. Never imports `agent`."""
