"""What generates: one protocol, and the engines that fulfil it."""
