"""Reports: one HTML file that opens offline.

`summary` is our own, of a backtest: the sentence, the drift map, incidents with their change points, the columns that
moved most, performance, and what is needed to run it again. `evidently_process` writes Evidently's report of a window,
for those who know it, in a process of its own.
"""
