"""Work that takes longer than a request should: a table, `FOR UPDATE SKIP LOCKED`, and `biobank worker`."""
