"""`climahub zigbee`: sensors and radio of the hub on this machine, for the technician in front of it."""
