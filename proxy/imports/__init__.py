"""Kubernetes manifests -> a rule file: text to objects, objects to a draft by one function per kind, draft to text."""
