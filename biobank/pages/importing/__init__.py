"""Pages of importing an old inventory: the file, what its columns mean, the check of the whole, the import."""
