"""Results trees beside each other: copied through a remote, made by several machines at once, and joined."""
