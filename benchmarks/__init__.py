"""What the gateway costs, measured beside its peers and its floors in one run: `make bench`."""
