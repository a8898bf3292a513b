"""Alarms: raised while something is wrong, called up a rota, answered by a person, quiet for a time, over with their cause."""
