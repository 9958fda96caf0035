"""How does an arm become a checkpoint? Start policies, LeRobot's own training script per cell, comparison of arms."""
