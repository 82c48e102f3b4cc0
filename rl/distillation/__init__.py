"""From a teacher to a student that can judge: chains of thought, their scores and selection, iterations, merging."""
