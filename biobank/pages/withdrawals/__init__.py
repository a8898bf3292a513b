"""Pages of withdrawals."""
