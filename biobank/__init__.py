"""Inventory and chain of custody for banks of people's own cells."""

__version__ = "0.1.0"
