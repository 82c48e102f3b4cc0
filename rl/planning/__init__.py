"""What a run needs of a machine before it starts: bytes and hours."""
