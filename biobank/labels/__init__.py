"""Labels: templates, geometry, writers of PNG, SVG, PDF and ZPL, the print ledger, printers.

Not here: what a specimen is; a label shows facts that it is given.
"""
