"""What can be said of a rule file: rules that never match, who would move, why a request goes where it goes."""
