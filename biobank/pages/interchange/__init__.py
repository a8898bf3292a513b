"""Pages from which files for other systems are taken."""
