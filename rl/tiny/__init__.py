"""The embedded default: a tokenizer, a model and problems small enough for two CPU cores."""
