"""The announcement of the port in the local network (DNS-SD), by the avahi of the machine."""
