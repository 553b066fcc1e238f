"""Evidence of one transfer: a bundle that a court can keep, and that anybody can check without the gateway.

`bundle.py` is the file, `checks.py` what is checked in it and what has to be trusted, `collect.py` what the gateway puts
into one, `report.py` the same in plain words
(what is said: `account.py`).
"""
