"""What a payload says: bytes in, events or rejections out. Imports nothing of the core."""
