"""The life of keys while messages flow: rotation, compromise, ceremonies."""
