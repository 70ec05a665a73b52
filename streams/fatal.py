"""What only a new process can mend."""


class Fatal(RuntimeError):
    """This process cannot go on: it ends, and whoever started it starts it again, from what is committed."""
