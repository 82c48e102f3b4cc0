"""A trained model in use: chat, export, what a server needs beside it."""
