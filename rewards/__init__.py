"""What a rollout is worth: the judge reward, answer checks, plug-ins."""
