"""Work that takes longer than a request should: a table, `FOR UPDATE SKIP LOCKED`, and `biobank worker`.

Not here: what a job does; each feature brings its own steps.
"""
