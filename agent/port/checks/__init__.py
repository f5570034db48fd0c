"""Checks and repairs: what is wrong with a hub and its surroundings, and what the hub can do about it.

`facts` says what can be known, `probes` and `network_probes` find it out, the `*_checks` files judge it (pure), and
`repairs` acts. Never touches control: a check reads, and a repair asks a component.
"""
