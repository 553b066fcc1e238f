"""What a ledger says of a period, added up: for the yearly evaluation of an agreement, and for whoever audits the gateway."""
