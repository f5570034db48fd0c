"""Relayed sensors' identities with the cloud. Pairing itself comes with the Zigbee network."""
