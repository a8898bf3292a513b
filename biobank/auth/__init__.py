"""Who signs in and what they may do: logins, sessions, tokens, passwords, permissions, the Actor.

Not here: names, roles being given and taken (`people/`), signatures (`acts/`).
"""
