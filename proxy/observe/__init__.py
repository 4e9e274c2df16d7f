"""What is seen from outside: counters, the Prometheus registry, logs."""
