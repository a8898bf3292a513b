"""What pages are made of: the session, forms, components, templates, scripts, styles, response headers.

Not here: anything about one subject.
"""
