"""The rule file: its model, its reader, and the compiled table that decides on each request."""
