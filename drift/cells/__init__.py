"""Cells: columns cut into bins, rows counted over them, and the profile that the training rows make."""
