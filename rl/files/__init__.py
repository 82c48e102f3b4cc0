"""What a run writes: rows, metrics, logs."""
