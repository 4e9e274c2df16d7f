"""Where downstream meets upstream: one exchange per request."""
