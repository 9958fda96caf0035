"""Parts that come with the package, so that a study runs without a download."""
