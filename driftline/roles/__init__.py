"""The roles: what one process runs, put together from the parts that its settings name.

`run_file` is what a running tree leaves on disk: `status`, `down` and `doctor` read it without loading the tree.
"""
