"""Watching over places: readings, what lies outside limits, whom it reached.

Not here: which limits a place has (`storage/limits.py`), and lifting what was held (`quality/`).
"""
