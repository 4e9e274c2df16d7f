"""HTTP as words and rules, without a socket: messages, header fields, framing, heads to and from bytes."""
