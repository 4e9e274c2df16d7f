"""Measurements of the whole proxy against its peers, and of single parts. Nothing here ships."""
