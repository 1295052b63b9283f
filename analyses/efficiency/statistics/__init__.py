"""What curves and crossing times say: plateaus, censoring, and estimates of D_crit."""
