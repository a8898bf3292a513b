"""Bench sessions: a workstation is open for one person's material at a time, from one line clearance to the next.

Runs, thaws, labels and what is packed may name the workstation; what is another person's is stopped there.
"""
