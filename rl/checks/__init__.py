"""What can be known before the first step."""
