"""Pages that look over the whole bank: its figures, and what falls due in a month."""
