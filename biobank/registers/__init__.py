"""Registers: what runs, kits and counts name by code or by name, whether it is fit for use, and who may use it."""
