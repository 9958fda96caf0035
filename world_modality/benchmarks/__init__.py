"""What policies are tried on: the simulator contract, and each benchmark behind it in a room of its own."""
