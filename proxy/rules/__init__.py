"""The rule file: its model, and the compiled table that decides on each request.

How its text is read: `proxy.rules.read`; what else can be said of it: `proxy.rules.analysis`.
"""
