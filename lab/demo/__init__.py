"""`climahub demo`: the real hub and the reference cloud in one process, in a house whose time runs faster.

`paced_loop` is the event loop whose time runs N times faster; `environment` has clock, cloud, board and outages;
`runner` runs the demo and accounts for every reading; `displays` shows it.
"""
