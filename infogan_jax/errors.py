"""The one exception for input that a user can put right."""


class UserError(ValueError):
    """One line that names the wrong input and says what would be right.

    The command lines print it as it is and exit with status 2.
    """
