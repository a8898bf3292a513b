"""Places: the tree of containers, positions, what may stand where, what they may read, moving, evacuation.

Not here: occupancy; `custody.position_code` is the only place it lives.
"""
