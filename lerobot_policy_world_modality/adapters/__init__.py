"""One file per backbone: what a world memory must know of it, and nothing else knows."""
