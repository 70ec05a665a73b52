"""The roles: what one process runs, put together from the parts that its settings name."""
