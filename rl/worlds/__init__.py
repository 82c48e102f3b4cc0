"""The embedded worlds: tokenizers, models and problems small enough for two CPU cores."""
