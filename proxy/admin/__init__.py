"""The admin port: health, metrics and the JSON API."""
