"""Pages of what was begun and not finished."""
