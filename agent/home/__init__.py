"""What every local API sees of a hub: zones as thermostats, actions, devices, and what has changed."""
