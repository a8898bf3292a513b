"""Viability: what was measured, what may be expected, and when to say nothing (docs/viability.md).

Measured and estimated never share a field, a table or a column. An estimate is of membrane integrity, or of outgrowth; never
of potency, dose response or outcome.

Who imports what: `model`, `predictive` and `fitting` need numpy and scipy and run in the worker and the command line only;
everything that answers a request is plain Python over what the worker stored.
"""
