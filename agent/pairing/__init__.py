"""Pairing of relayed sensors: join windows, the stages of a sensor, and its identity with the cloud."""
