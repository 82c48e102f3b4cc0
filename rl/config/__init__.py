"""Every key of a run: its type, default, range and meaning; from YAML to a checked configuration."""
