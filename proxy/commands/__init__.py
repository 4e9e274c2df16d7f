"""The commands that have more to say than `proxy/cli.py` has room for, a file each."""
