"""`python -m charcnn`, and `accelerate launch -m charcnn`."""

from charcnn.cli import main

main()
