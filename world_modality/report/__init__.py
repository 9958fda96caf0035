"""What came out? The comparison table and the page that shows it, from sealed rollout records."""
