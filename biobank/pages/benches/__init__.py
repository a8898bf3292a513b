"""Pages of workstations and bench sessions."""
