"""What memorising and generalising cost: parameter norm, and steps of training."""
