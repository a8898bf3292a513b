"""PostgreSQL as we run it: the embedded server, migrations, dumps, and the look at the database's own guards.

Not here: tables and statements of any feature.
"""
