"""The clients' side: listeners and the connections clients open."""
