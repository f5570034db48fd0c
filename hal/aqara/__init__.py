"""Reads and sets the devices of an endpoint that speaks the Aqara Open API: Aqara's cloud, a studio, or another hub."""
