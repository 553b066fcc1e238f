"""A witness: whoever runs it has seen every checkpoint that carries its cosignature, and never two that contradict.

It knows the keys of the logs it was told of, and of each the latest checkpoint; nothing else. It speaks C2SP
tlog-witness, so it serves logs of others, and a gateway asks witnesses of others the same way.
"""
