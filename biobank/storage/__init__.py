"""Places: the tree of containers, positions, what may stand where, moving, evacuation, readings.

Not here: occupancy; `custody.position_code` is the only place it lives.
"""
