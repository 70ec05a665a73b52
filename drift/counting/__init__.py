"""Counting: the `count` stage. Rows become counts per minute of event time; what is late or doubled is told apart."""
