"""Where memorisation and generalisation sit in a network: double dissociation by pruning."""
