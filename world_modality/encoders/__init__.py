"""What a moment looks like to a world model: one function from a clip of frames to a latent, offline and online."""
