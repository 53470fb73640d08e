"""The exceptions for what a user can put right."""


class UserError(ValueError):
    """One line that names the wrong input and says what would be right.

    The command lines print it as it is and exit with status 2.
    """


class NotInstalled(UserError):
    """An extra is missing, which the line names: what doesn't need it can be done all the same."""
