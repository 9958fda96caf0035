"""What somebody else's package adds to World Modality, by its public interfaces alone."""
