"""What an operator does to a gateway: each act is one function, one commit and its entries in the gateway's own ledger.

A module decides what its acts need to be possible and how they are written down. The words are left to `cli/`, the
founding of a gateway to `founding/`. Every act names who did it: `who` and `why` are codes (an account, a ticket), never
sentences.
"""
