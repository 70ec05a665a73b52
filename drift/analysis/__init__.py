"""Analysis: the live counts and the live judge over a table that lies before one.

`table_clock` gives every row its event time and cuts the table into windows; `table_counts` writes the messages that
the live stages would have put on `counts`.
"""
