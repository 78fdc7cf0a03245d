"""``python -m symlow.cli``: the command line of the Python that runs it, where ``symlow`` is not on the path."""

from symlow.cli import main

main()
