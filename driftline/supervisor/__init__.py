"""What `driftline up` stands on: the ports it needs, what its roles' logs say, and how it tells what it waits for.

`run_file` is what a running tree leaves on disk: `status`, `down` and `doctor` read it without loading the tree.
"""
