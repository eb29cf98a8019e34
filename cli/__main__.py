"""`python -m cli`: the command `postlane` without its console script."""

from cli.main import main

main()
