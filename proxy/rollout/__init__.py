"""Rollouts: the weights of a split moved step by step, by what the counters say."""
