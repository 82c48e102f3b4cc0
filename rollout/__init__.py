"""What the model says: problems, plans, engines, parsed rollouts."""
