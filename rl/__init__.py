"""How the policy learns: algorithms, trainer, history, evaluation, reports."""
