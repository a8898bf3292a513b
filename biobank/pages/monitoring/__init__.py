"""Pages of readings and what follows from them."""
