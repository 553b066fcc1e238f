"""What can be recorded: each class is one kind of write, checked once more under the lock and then made whole.

A job carries everything that could be computed before; what needs the entry's place (the receipt) is made here.
"""
