"""The one exception whose message is meant for the user."""


class UserError(Exception):
    """Bad input or a broken precondition, told in one sentence: what is wrong, where, and what to do."""
