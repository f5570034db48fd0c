"""The laboratory: simulations of the whole hub, a reference cloud, an emulated Zigbee coordinator, and a demo.

It is a distribution of its own, `climahub-lab`, which hubs do not install. `agent` and `hal` must never import it.
"""
