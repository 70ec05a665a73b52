"""A stranger's model: made into a package with its reference, added to the registry, routed.

`init` makes the package from a table and a model file, or trains a network where there is none; `profile` makes its
reference, with the scores of the very file that will serve. `routes` says which version serves, and `listing` what
there is.
"""
