"""`python -m raygan`: the same as the command `raygan`."""

from raygan.cli import main

if __name__ == "__main__":
    main()
