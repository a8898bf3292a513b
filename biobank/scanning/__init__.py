"""Any code that comes in: resolving it, lists of scans with a verdict each, camera frames, rack files.

Not here: the fast route of a single scan (`custody/scan_path/`).
"""
