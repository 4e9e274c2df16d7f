"""From the text of a rule file to its model: nodes with lines, the shapes of every key, what must fit together."""
