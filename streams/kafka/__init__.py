"""The log as a server: whether it answers at all (`reach`)."""
