"""Starts the program `hairtrigger`. Ctrl-C ends it at once and without a traceback, unless a command handles it
otherwise.
"""

import signal


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # before the imports, which take a second
    from hairtrigger import cli  # noqa: PLC0415

    cli.main()


if __name__ == "__main__":
    main()
