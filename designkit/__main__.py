"""`python -m designkit` is the `designkit` command."""

from designkit.cli.app import main

if __name__ == "__main__":
    main()
