"""Evidence of one transfer: a bundle that a court can keep, and that anybody can check without the gateway.

`bundle.py` is the file, `collect.py` what the gateway puts into one, `checks.py` the list of the checks. Each check is a
function of `ledger_checks.py`, `message_checks.py`, `agreement_checks.py` or `delivery_checks.py`; what they share is
`court.py`, what they say `findings.py`. `report.py` is the same in plain words (what is said: `account.py`).
"""
