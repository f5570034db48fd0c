"""The laboratory: simulations of the whole hub, the reference cloud, the emulated Zigbee coordinator, and the demo.

Hubs never install it. `agent` and `hal` must never import it.
"""
