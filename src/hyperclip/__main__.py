"""``python -m hyperclip``: the command line where the program ``hyperclip`` is not on the path."""

from hyperclip.cli.main import main

if __name__ == "__main__":
    main()
