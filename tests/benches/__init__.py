"""Tests of bench sessions."""
