"""The shipped rewards, one file each."""
