"""What travels: how values and times are written, the same in every format and every table.

Read `spelling` (levels, booleans, numbers, nulls), `classes` (the class that a label or a prediction names) and `times`
(columns of event times).
"""
