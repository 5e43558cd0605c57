"""What is measured against whom. Peers are imported here and nowhere else."""
