"""What the world model sees at every frame: the latent cache, and the windows cut from it."""
