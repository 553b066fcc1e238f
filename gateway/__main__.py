"""`python -m gateway` is `sinergi`."""

from gateway.cli.main import main

main()
