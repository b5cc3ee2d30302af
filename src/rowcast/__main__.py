"""`python -m rowcast` and the `rowcast` command."""

import sys


def main() -> None:
    """Run the command line."""
    try:
        from rowcast.server.cli import run_command_line  # imported here so that importing this module costs nothing

        code = run_command_line(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
