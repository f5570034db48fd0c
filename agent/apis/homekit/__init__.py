"""HomeKit: the zones as thermostats in the Home app of a local network, by HAP-python. Imported where it is on."""
