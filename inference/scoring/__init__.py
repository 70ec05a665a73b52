"""Scoring: the `score` stage. Requests in, predictions and observations out."""
