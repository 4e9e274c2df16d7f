"""Processes: the control process, its workers, and the channel between them."""
