"""Which problems come when, and what earlier visits showed."""
