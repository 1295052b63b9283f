"""What one trained network shows."""
