"""The one exception for bad user input: it carries the sentence that the user reads."""


class InputError(ValueError):
    """Report bad input from outside: a file, a field, a flag.

    The message is one sentence that says what was wrong, where, what is allowed and what to do.
    The command line prints it and exits with code 2; nothing is half-written.
    """
