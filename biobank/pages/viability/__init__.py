"""Pages of viability."""
