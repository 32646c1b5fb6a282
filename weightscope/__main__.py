"""`python -m weightscope`: the command `weightscope`."""

from weightscope.command import main

if __name__ == "__main__":
    main()
