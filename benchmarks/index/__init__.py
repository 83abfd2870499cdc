"""What an index of 100,000 passages takes: time, memory, disk, and how exact it is."""
