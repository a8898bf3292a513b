"""Dossiers on paper: a specimen's life, an operator's day, a lot's reach, a donor's file."""
