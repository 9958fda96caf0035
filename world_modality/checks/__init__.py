"""Do data, policy, encoder and simulator fit together? Judged before anything is trained, from what can be opened."""
