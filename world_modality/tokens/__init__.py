"""World tokens: latents as numbers of a codebook's centroids, and what can be said of them without a model."""
