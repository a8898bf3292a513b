"""What was begun and not finished: every kind of open act, its time limit, and what happens when that passes.

Nothing that was begun vanishes: past its limit an act is timed out on the record and is a task at Today until it is finished.
"""
