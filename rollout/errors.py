"""The base of every error that a user can mend: configuration, data, protocol, reward. Scripts print it in one line."""


class UserError(ValueError):
    """Says in one line what value was found, what is allowed, and where."""
