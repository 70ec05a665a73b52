"""The demo: the whole system on real data, in about a minute and a half, with a summary that is read back and
not remembered.
"""
