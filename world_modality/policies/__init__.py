"""What does a policy checkpoint do with one observation? One path for rollouts and for on-policy data."""
