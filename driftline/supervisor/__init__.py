"""What `driftline up` stands on: the ports it needs, what its roles' logs say, and how it tells what it waits for."""
