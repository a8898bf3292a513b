"""People who work here and the places they work in: sign-in, logins, roles, sites. Each change is an event.

Not here: what a permission allows (`auth/permissions.py`).
"""
