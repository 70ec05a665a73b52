"""The reference: fitted, checked, read and written; the baseline that windows are compared with."""
