"""What the policy learns from: demonstrations, relabelled episodes, and the LeRobotDataset made of them."""
