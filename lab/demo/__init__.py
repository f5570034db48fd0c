"""`climahub demo`: the real hub and the reference cloud in one process, in a house whose time runs faster.

Where to look: `pace` (the loop whose time runs N times faster), `outages` (when the cloud fails), `town` (what
surrounds the hub: clock, cloud, board), `show` (the run from beginning to end), `audit` (what became of every reading),
`view` and `plain` (what is seen), `command` (the options).
"""
