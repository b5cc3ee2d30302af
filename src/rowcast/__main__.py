"""`python -m rowcast` and the `rowcast` command."""


def main() -> None:
    """Run the command line."""
    from rowcast.server.cli import application  # imported here so that importing this module costs nothing

    application()


if __name__ == "__main__":
    main()
