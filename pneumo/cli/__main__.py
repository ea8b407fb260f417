"""`python -m pneumo.cli`."""

from pneumo.cli import main

main()
