"""Comparing algorithms: the runs, their tuning, the statistics and the tables."""
