"""What travels: how values and times are written, the same in every format and every table.

Read `spelling` (levels, booleans, numbers, nulls) and `times` (columns of event times).
"""
