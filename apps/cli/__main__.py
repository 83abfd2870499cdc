"""`python -m apps.cli` is `tom`."""

from apps.cli import main

if __name__ == "__main__":
    main()
