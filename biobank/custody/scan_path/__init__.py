"""The scan path: one observation of one specimen in one read and one atomic write, ahead of the framework.

Not here: a rule of its own. It asks the same functions as the ordinary route and leaves every refusal to it.
"""
