"""Pages of alarms and of who is called."""
