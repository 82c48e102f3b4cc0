"""A run folder to tables, plots and a page."""
