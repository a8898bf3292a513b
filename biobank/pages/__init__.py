"""HTML: a folder per subject over `ui/`, which holds templates, scripts, styles and components.

A page asks queries and calls use cases. It holds no rule, and nothing below imports it.
"""
