"""`python -m raygan`: the same as the installed command."""

from raygan.cli import main

if __name__ == "__main__":
    main()
