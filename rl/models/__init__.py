"""Where weights are, how they are opened, which engine decodes."""
